# shellcheck shell=sh disable=SC1090,SC2016,SC2154 # the environment and literals
# Downloads Debian packages with all that they depend on, unpacks them into DIR/root, and writes a wrapper of each program
# into DIR/bin. The environment has lists, separated by spaces: $packages, $programs, $libs (subdirectories of the library
# directory that have libraries too) and $data (directories of usr/share to keep); and $suite, a Debian release.
# usage: unpack.sh DIR OS-RELEASE
set -eu
[ ! -d "$1" ] || exit 0 # another program was faster
partial=$1.partial
work=$partial/work
trap 'rm -rf "$partial"' EXIT
trap 'trap "" TERM; kill 0; wait; exit 1' TERM # a shell runs it at once while it waits for a job
rm -rf "$partial" # of a call that was killed
mkdir -p "$partial/root" "$partial/bin" "$work/lists/partial" "$work/archives/partial"

fail() {
	echo "$*" >&2
	exit 1
}

# The archives of this machine's own release have the other releases too.
. "$2"
[ "$ID" = debian ] || fail "this machine runs $PRETTY_NAME, whose package sources do not have Debian's packages"
release=${VERSION_CODENAME:-none}
apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' "Release: $release" 'Component: main' |
	sort -u | while read -r uri; do echo "deb $uri $suite main"; done >"$work/sources.list"
[ -s "$work/sources.list" ] || fail "no entry for the release $release with the component main in apt's sources: add Debian's"

# Of the machine's configuration, only the settings of the network and of trust are used: the others may be hooks that need
# root or that delete the archives. With an empty list of installed packages, apt downloads every dependency.
apt-config dump | grep -E '^(Acquire::|APT::Get::AllowUnauthenticated )' | grep -vE '^Acquire::(IndexTargets|Languages)' >"$work/apt.conf"
cat >>"$work/apt.conf" <<END
Acquire::Languages "none";
APT::Sandbox::User "";
Dir::Cache "$work";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::preferences "$work/preferences";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/usr/share/keyrings/debian-archive-keyring.gpg";
Dir::State "$work";
Dir::State::status "$work/status";
END
cat >"$work/preferences" <<END
Package: *
Pin: release o=Debian, n=$suite
Pin-Priority: 500

Package: *
Pin: release *
Pin-Priority: -1
END
: >"$work/status"
export APT_CONFIG="$work/apt.conf" LC_ALL=C.UTF-8
apt-get -qq update &
wait "$!" || : # archives that are not Debian's may not have the suite; if Debian's fails, so does the next command
# shellcheck disable=SC2086 # a list
apt-get -qq --yes --no-install-recommends --download-only install $packages &
wait "$!"
for archive in "$work"/archives/*.deb; do
	dpkg-deb -x "$archive" "$partial/root"
done
rm -rf "$work"

one() { # prints the one path of its arguments that exists
	found=$(ls -d "$@" 2>/dev/null || :)
	[ "$(echo "$found" | wc -w)" = 1 ] || fail "expected one file like $* in the packages, found ${found:-none}"
	echo "$found"
}

# A wrapper runs a program with the loader and the libraries of the packages: those of the machine may be of another
# release. It finds them by its own place, as DIR is renamed when all is done.
cd "$partial/root"
for program in $programs; do
	path=$(one ./*bin/"$program" ./usr/*bin/"$program")
	loader=$(one ./lib/*-linux-gnu*/ld-linux*.so.* ./usr/lib/*-linux-gnu*/ld-linux*.so.*)
	triplet=$(basename "$(dirname "$loader")")
	search="\$root/usr/lib/$triplet:\$root/lib/$triplet"
	for lib in $libs; do search="$search:\$root/usr/lib/$triplet/$lib"; done
	printf '#!/bin/sh\nroot=${0%%/*}/../root\nexec "$root/%s" --library-path "%s" "$root/%s" "$@"\n' "$loader" "$search" "$path" >"../bin/$program"
	chmod +x "../bin/$program"
done

for entry in usr/share/*; do # documentation, translations and web pages are most of the bytes
	case " $data " in
	*" ${entry##*/} "*) ;;
	*) rm -rf "$entry" ;;
	esac
done
mv -T "$partial" "$1"
