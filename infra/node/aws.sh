imds() { curl -fsS --max-time 10 -H "X-aws-ec2-metadata-token: $$(curl -fsS --max-time 10 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)" "http://169.254.169.254/latest/meta-data/$$1"; }
install_tools() { [ -x /snap/bin/aws ] || snap install aws-cli --classic; PATH="$$PATH:/snap/bin"; }
claim_address() { aws ec2 associate-address --region $region --allocation-id $address_id --instance-id "$$(imds instance-id)" --allow-reassociation; }
give_up() { systemctl poweroff; }  # the scaling group puts another in its place
PATH="$$PATH:/snap/bin"
fetch() {
  aws s3 cp --quiet --region $region "$deploy_url/$$1" "$$2" 2> fetch.error && return 0
  grep -q '(404)' fetch.error && return $absent
  cat fetch.error >&2; return 1
}
keep() { aws s3 cp --quiet --region $region "$$1" "$deploy_url/$$2"; }
registry_host() { echo "$registry" | cut -d/ -f1; }
registry_user() { echo AWS; }
registry_password() { case "$registry" in *.amazonaws.com/*) aws ecr get-login-password --region $region ;; esac; }
