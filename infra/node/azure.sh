token() { curl -fsS --max-time 10 -H Metadata:true "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=$$1" | sed 's/.*"access_token":"\([^"]*\)".*/\1/'; }
install_tools() { :; }
claim_address() {  # a machine in another's place has another number; the name under our domain follows it
  [ -n "$record" ] || return 0
  local name
  name="$$(curl -fsS --max-time 10 -H Metadata:true "http://169.254.169.254/metadata/instance/compute/name?api-version=2021-02-01&format=text")"
  curl -fsS --max-time 60 --retry 3 -X PUT -o /dev/null -H "Authorization: Bearer $$(token https://management.azure.com/)" -H "Content-Type: application/json" \
    -d "{\"properties\": {\"TTL\": 300, \"CNAMERecord\": {\"cname\": \"vm$${name##*_}.$host\"}}}" "https://management.azure.com$record?api-version=2018-05-01"
}
give_up() { systemctl reboot; }  # a scale set without a health probe replaces nothing: this machine tries again
blob() { curl -sS --max-time 60 --retry 3 -w '%{http_code}' -H "Authorization: Bearer $$(token https://storage.azure.com/)" -H "x-ms-version: 2023-11-03" "$$@"; }
fetch() { case "$$(blob -o "$$2" "$deploy_url/$$1")" in 200) ;; 404) return $absent ;; *) return 1 ;; esac; }
keep() { [ "$$(blob -o /dev/null -H "x-ms-blob-type: BlockBlob" -T "$$1" "$deploy_url/$$2")" = 201 ]; }
registry_host() { echo "$registry" | cut -d/ -f1; }
registry_user() { echo 00000000-0000-0000-0000-000000000000; }
registry_password() {
  case "$registry" in
    *.azurecr.io*) curl -fsS -d grant_type=access_token -d service="$$(registry_host)" -d access_token="$$(token https://management.azure.com/)" "https://$$(registry_host)/oauth2/exchange" | sed 's/.*"refresh_token":"\([^"]*\)".*/\1/' ;;
  esac
}
