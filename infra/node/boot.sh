#!/bin/bash
# Turns an empty Linux machine into the one node of a small stack. Safe to run again, from wherever it was stopped.
# It only writes files; start.sh does what needs the network, and systemd repeats it until it is done.
# Nothing listens but the Gateway's 80 and 443; operators come in through the cloud's session tunnel.
set -euo pipefail

put() {  # path mode: written beside its place and moved there in one step, so a kill leaves no half of a file
  mkdir -p "$${1%/*}"
  cat > "$$1.new"
  chmod "$$2" "$$1.new"
  mv "$$1.new" "$$1"
}

put /etc/rancher/k3s/config.yaml 0600 <<'CONFIG'
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
put /etc/rancher/k3s/audit.yaml 0600 <<'AUDIT'
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
  - level: Metadata
    omitStages: [RequestReceived]
AUDIT

put /opt/pointsman/cloud.sh 0700 <<'CLOUD'
$cloud_functions
CLOUD

put /opt/pointsman/start.sh 0700 <<'START'
#!/bin/bash
# Address, swap, k3s: each step is skipped when it is done. A step that fails ends this; systemd starts it again.
set -euo pipefail
. /opt/pointsman/cloud.sh
install_tools
claim_address
# A 1 GiB swap file keeps a night's training from evicting the Gateway.
[ -f /swapfile ] || { dd if=/dev/zero of=/swapfile.new bs=1M count=1024 status=none; chmod 0600 /swapfile.new; mkswap /swapfile.new; mv /swapfile.new /swapfile; }
swapon /swapfile 2>/dev/null || true
if [ ! -x /usr/local/bin/k3s ]; then
  case "$$(uname -m)" in x86_64) arch=amd64 asset=k3s ;; aarch64) arch=arm64 asset=k3s-arm64 ;; *) exit 1 ;; esac
  release="https://github.com/k3s-io/k3s/releases/download/$k3s_version"
  cd /opt/pointsman
  for file in "sha256sum-$$arch.txt" "$$asset"; do
    curl -fsSL --retry 5 --retry-all-errors --max-time 600 -o "$$file" "$$release/$$file"
  done
  grep " $$asset\$$" "sha256sum-$$arch.txt" | sha256sum -c -  # a download that was cut off never becomes k3s
  mkdir -p /usr/local/bin
  chmod 0755 "$$asset"
  mv "$$asset" /usr/local/bin/k3s
fi
systemctl enable --now k3s.service
/usr/local/bin/k3s kubectl wait --for=condition=Ready node --all --timeout=300s
systemctl enable --now pointsman-sync.timer
touch /run/pointsman-ready
START

put /opt/pointsman/give-up.sh 0700 <<'WATCH'
#!/bin/bash
# A machine that is not a node after twenty minutes makes room for another: a dead boot must not count as healthy.
[ -e /run/pointsman-ready ] && exit 0
. /opt/pointsman/cloud.sh
echo "pointsman: no node after twenty minutes, giving up this machine" | tee /dev/console 2>/dev/null || true
give_up
WATCH

put /opt/pointsman/sync.sh 0700 <<'SYNC'
#!/bin/bash
# Certificates back first, then what CI put into the deploy bucket; then certificates into the bucket, and the login
# to the registry (tokens live an hour or more).
set -euo pipefail
. /opt/pointsman/cloud.sh
cd /opt/pointsman
kubectl() { /usr/local/bin/k3s kubectl "$$@"; }
fetched() {  # name: 0 when it is here, 1 when there is none; any other failure ends this run
  local rc=0
  fetch "$$1" "$$1.new" || rc=$$?
  [ $$rc = 0 ] && return 0
  [ $$rc = $absent ] && return 1
  exit 1
}
# A machine that was taken leaves its certificates behind: asking for new ones soon meets the issuer's weekly limit.
if [ ! -e restored ]; then
  if fetched $certificates; then
    grep -oE '^ +namespace: .+' $certificates.new | sort -u | while read -r _ name; do
      kubectl create namespace "$$name" --dry-run=client -o yaml | kubectl apply -f -
    done
    kubectl apply -f $certificates.new
    mv $certificates.new $certificates
  fi
  touch restored
fi
kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply -f -
note() {  # name words: the last word on each file, for those who put it there
  { grep -v "^$$1: " status.txt 2>/dev/null || true; echo "$$1: $$2"; } > status.new
  mv status.new status.txt
}
take() {  # name target: k3s applies what lies in its folder, so only what the API server would take whole gets there
  local target="/var/lib/rancher/k3s/server/manifests/$$2"
  fetched "$$1" || return 0
  if cmp -s "$$1.new" "$$target"; then note "$$1" applied; return 0; fi
  if kubectl apply --server-side --force-conflicts --dry-run=server -f "$$1.new" > "$$1.said" 2>&1; then
    mkdir -p "$${target%/*}"
    mv "$$1.new" "$$target"
    note "$$1" applied
  else  # kinds that a chart has not brought yet look the same: the next minute asks again
    note "$$1" "refused, the last good one stays: $$(grep -i error "$$1.said" | head -n 1 || true)"
    tail -n 1 status.txt >&2
  fi
}
take $addons pointsman-addons.yaml
take $manifests pointsman.yaml
if [ -s status.txt ] && ! cmp -s status.txt status.kept; then
  keep status.txt $status && cp status.txt status.kept || echo "status.txt was not kept" >&2
fi
kubectl get secrets -A --field-selector type=kubernetes.io/tls,metadata.namespace!=kube-system -o yaml |
  grep -vE '^ +(uid|resourceVersion|creationTimestamp):' > $certificates.new
if grep -q 'tls.key:' $certificates.new && ! cmp -s $certificates.new $certificates; then
  keep $certificates.new $certificates
  mv $certificates.new $certificates
fi
if password="$$(registry_password)" && [ -n "$$password" ]; then
  kubectl create namespace $namespace --dry-run=client -o yaml | kubectl apply -f -
  kubectl -n $namespace create secret docker-registry $pull_secret --docker-server="$$(registry_host)" \
    --docker-username="$$(registry_user)" --docker-password="$$password" --dry-run=client -o yaml | kubectl apply -f -
fi
SYNC

# As the installer of k3s writes it; without the installer there is no package of SELinux rules to fetch.
put /etc/systemd/system/k3s.service 0644 <<'UNIT'
[Unit]
Wants=network-online.target
After=network-online.target
[Service]
Type=notify
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s server
[Install]
WantedBy=multi-user.target
UNIT
put /etc/systemd/system/pointsman-start.service 0644 <<'UNIT'
[Unit]
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0
[Service]
Type=oneshot
RemainAfterExit=yes
Restart=on-failure
RestartSec=20
ExecStart=/opt/pointsman/start.sh
[Install]
WantedBy=multi-user.target
UNIT
put /etc/systemd/system/pointsman-give-up.service 0644 <<'UNIT'
[Service]
Type=oneshot
ExecStart=/opt/pointsman/give-up.sh
UNIT
put /etc/systemd/system/pointsman-give-up.timer 0644 <<'UNIT'
[Timer]
OnBootSec=20min
[Install]
WantedBy=timers.target
UNIT
put /etc/systemd/system/pointsman-sync.service 0644 <<'UNIT'
[Unit]
After=k3s.service
[Service]
Type=oneshot
ExecStart=/opt/pointsman/sync.sh
UNIT
put /etc/systemd/system/pointsman-sync.timer 0644 <<'UNIT'
[Timer]
OnBootSec=30
OnUnitActiveSec=60
[Install]
WantedBy=timers.target
UNIT
systemctl daemon-reload
systemctl enable --now pointsman-give-up.timer
systemctl enable --now --no-block pointsman-start.service
