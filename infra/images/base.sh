# Makes of unpacked Debian packages a root with Python and nothing else: no shell, no package manager, no manuals.
# Run by mmdebstrap with the root as $1, while the packages still lie there.
set -eu
cd "$1"
mkdir -p var/lib/dpkg/status.d
for package in var/cache/apt/archives/*.deb; do # as scanners look for it in images without a package manager
    dpkg-deb --field "$package" > "var/lib/dpkg/status.d/$(dpkg-deb --field "$package" Package)"
done
mkdir -p etc/ssl/certs tmp proc sys dev run home var/cache/pointsman var/lib/pointsman
find usr/share/ca-certificates -name '*.crt' | LC_ALL=C sort | xargs cat > etc/ssl/certs/ca-certificates.crt
find bin sbin usr/bin usr/sbin usr/share -mindepth 1 -maxdepth 1 ! -path usr/bin/python3.11 ! -name '*-strip' \
    ! -path usr/share/zoneinfo ! -path usr/share/ca-certificates ! -path usr/share/python-wheels -exec rm -rf {} +
rm -rf usr/lib/python3.11/pydoc_data usr/lib/python3.11/lib2to3 usr/lib/*/perl* usr/lib/dpkg usr/lib/tar usr/lib/ssl/misc \
    usr/lib/mime usr/lib/systemd lib/systemd usr/libexec etc/dpkg etc/cron* etc/logrotate.d etc/alternatives var/backups
ln -s python3.11 usr/bin/python3
ln -s python3.11 usr/bin/python
chmod 1777 tmp
printf 'root:x:0:0:root:/:/none\npointsman:x:10001:10001::/tmp:/none\n' > etc/passwd
printf 'root:x:0:\npointsman:x:10001:\n' > etc/group
printf 'hosts: files dns\n' > etc/nsswitch.conf
touch etc/hosts etc/resolv.conf etc/hostname
