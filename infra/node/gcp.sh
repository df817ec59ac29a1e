token() { curl -fsS --max-time 10 -H Metadata-Flavor:Google http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token | sed 's/.*"access_token":"\([^"]*\)".*/\1/'; }
install_tools() { :; }
claim_address() { :; }  # the instance group keeps the address
give_up() { systemctl poweroff; }  # the instance group makes it anew
object() { curl -sS --max-time 60 --retry 3 -w '%{http_code}' -H "Authorization: Bearer $$(token)" "$$@"; }
fetch() { case "$$(object -o "$$2" "https://storage.googleapis.com/$deploy_url/$$1")" in 200) ;; 404) return $absent ;; *) return 1 ;; esac; }
keep() { [ "$$(object -o /dev/null -T "$$1" "https://storage.googleapis.com/$deploy_url/$$2")" = 200 ]; }
registry_host() { echo "$registry" | cut -d/ -f1; }
registry_user() { echo oauth2accesstoken; }
registry_password() { case "$registry" in *-docker.pkg.dev/*) token ;; esac; }
