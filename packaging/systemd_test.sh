#!/bin/sh
# Starts an installed unit with a real systemd, and reloads it when the file /run/kamailio/reload appears. Usage:
# systemd_test.sh WORK SYSTEMD UNIT, run by the test as root in new mount, process, host name and IPC namespaces. The root
# file system is an overlay over this machine's, which exists only in these namespaces. The log of the service is written to
# standard output. SYSTEMD is a directory with systemd and its libraries, for machines without systemd.
set -e
work=$1 unit=$3
mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mount -t proc proc proc
mount --rbind /dev dev
mount --rbind /sys sys
mount -t tmpfs tmpfs sys/fs/cgroup
mkdir sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t tmpfs tmpfs run
mkdir run/kamailio run/systemd
mount --bind /run/kamailio run/kamailio
echo mounted

if [ ! -x lib/systemd/systemd ]; then
	tar -C "$2" -c . | tar -x --keep-directory-symlink
fi

# Only the exporter's unit, so that no other service of this machine starts.
file=$(echo "$unit" | sed 's/@.*\./@./') # a template without the name of an instance
mkdir -p "units/$file.d"
cp "usr/lib/systemd/system/$file" units/
for target in sysinit basic network shutdown; do
	printf '[Unit]\nDefaultDependencies=no\n' >"units/$target.target"
done
printf '[Unit]\nDefaultDependencies=no\nWants=%s reload.path\n' "$unit" >units/default.target
printf '[Unit]\nDefaultDependencies=no\n[Path]\nPathExists=/run/kamailio/reload\n' >units/reload.path
printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/systemctl reload %s\n' "$unit" >units/reload.service
rm -rf lib/systemd/system-generators
mkfifo log
printf '[Service]\nStandardError=append:/log\nStandardOutput=append:/log\n' >"units/$file.d/log.conf"
cat <>log &

pivot_root . mnt # not chroot, in which the kernel refuses the user namespace of the service
exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH=/units \
	sh -c 'umount -l /mnt && exec /lib/systemd/systemd --system --show-status=0'
