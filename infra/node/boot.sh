#!/bin/bash
# Turns an empty Linux machine into the one node of a small stack. Safe to run again at every boot.
# Nothing listens but the Gateway's 80 and 443; operators come in through the cloud's session tunnel.
set -euo pipefail

install -d -m 0700 /etc/rancher/k3s /var/lib/rancher/k3s/server/manifests /opt/pointsman
cat > /etc/rancher/k3s/config.yaml <<'CONFIG'
write-kubeconfig-mode: "0600"
secrets-encryption: true
disable: [traefik]
kube-apiserver-arg:
  - audit-log-path=/var/log/k3s-audit.log
  - audit-policy-file=/etc/rancher/k3s/audit.yaml
  - audit-log-maxage=30
  - audit-log-maxsize=50
kubelet-arg:
  - system-reserved=memory=256Mi
  - eviction-hard=memory.available<150Mi
CONFIG
cat > /etc/rancher/k3s/audit.yaml <<'AUDIT'
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: Metadata
    omitStages: [RequestReceived]
AUDIT

cat > /opt/pointsman/cloud.sh <<'CLOUD'
$cloud_functions
CLOUD

cat > /opt/pointsman/sync.sh <<'SYNC'
#!/bin/bash
# Applies what CI put into the deploy bucket, and renews the registry login (tokens live an hour or more).
set -euo pipefail
. /opt/pointsman/cloud.sh
kubectl() { /usr/local/bin/k3s kubectl "$$@"; }
target=/var/lib/rancher/k3s/server/manifests/pointsman.yaml
if fetch_manifests "$manifests" > "$$target.new" && ! cmp -s "$$target.new" "$$target"; then
  mv "$$target.new" "$$target"  # k3s applies what lies in this folder
fi
if password="$$(registry_password)" && [ -n "$$password" ]; then
  kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply -f -
  kubectl -n $namespace create secret docker-registry $pull_secret --docker-server="$$(registry_host)" \
    --docker-username="$$(registry_user)" --docker-password="$$password" --dry-run=client -o yaml | kubectl apply -f -
fi
SYNC
chmod 0700 /opt/pointsman/*.sh

cat > /etc/systemd/system/pointsman-sync.service <<'UNIT'
[Unit]
After=k3s.service
[Service]
Type=oneshot
ExecStart=/opt/pointsman/sync.sh
UNIT
cat > /etc/systemd/system/pointsman-sync.timer <<'UNIT'
[Timer]
OnBootSec=30
OnUnitActiveSec=60
[Install]
WantedBy=timers.target
UNIT

. /opt/pointsman/cloud.sh
# Grants take up to a minute to count, and this script runs once: without the address nobody reaches the node.
for _ in $$(seq 30); do claim_address && break || sleep 10; done
# A 1 GiB swap file keeps a night's training from evicting the Gateway.
[ -f /swapfile ] || { dd if=/dev/zero of=/swapfile bs=1M count=1024 status=none; chmod 0600 /swapfile; mkswap /swapfile; }
swapon /swapfile 2>/dev/null || true
# The installer checks the binary against the release's own SHA-256 file.
[ -x /usr/local/bin/k3s ] || curl -fsSL "https://raw.githubusercontent.com/k3s-io/k3s/$k3s_version/install.sh" |
  INSTALL_K3S_VERSION="$k3s_version" sh -
systemctl daemon-reload
systemctl enable --now pointsman-sync.timer
