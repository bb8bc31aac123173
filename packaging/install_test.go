//go:build linux

package packaging

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
)

const (
	installedUnit  = "/usr/lib/systemd/system/kamailio_exporter.service"
	defaultsFile   = "/etc/default/kamailio_exporter"
	enabledLink    = "/etc/systemd/system/multi-user.target.wants/kamailio_exporter.service"
	kamailioDir    = "/run/kamailio"
	kamailioSocket = kamailioDir + "/kamailio_ctl"
	reloadFile     = kamailioDir + "/reload"
	// instanceFile and instanceLink are files of an administrator for the instance test of kamailio_exporter@.service.
	instanceFile = defaultsFile + "-test"
	instanceLink = "/etc/systemd/system/multi-user.target.wants/kamailio_exporter@test.service"
	// setMode is the line of kamailio.cfg that the package and the exporter recommend.
	setMode = `modparam("ctl", "mode", 0660)`
	// flags is a file of flags that an administrator has changed.
	flags = "# Ours.\nARGS=\"--web.listen-address=127.0.0.1:0 --kamailio.sip-probe=auto\"\n"
)

// TestInstall installs the deb on this machine and runs the unit's command line as the unit's user with a Kamailio whose
// socket belongs to Kamailio's user. Then it upgrades, removes and purges the package and checks what is left.
func TestInstall(t *testing.T) {
	deb := only(t, "*_"+thisPlatform(t).deb+".deb")
	clean := prepareMachine(t)
	onEnd(t, func() { purge(t) })
	onEnd(t, func() { output(t, "rm", "-f", instanceFile, instanceLink) })

	kamailio := startKamailio(t, "")
	wantWords(t, "the installation, with a socket of mode 0600", dpkg(t, "--install", deb),
		[]string{kamailioSocket + " has mode 600", setMode}, "usermod")
	wantText(t, "the output of dpkg --verify", dpkg(t, "--verify", "kamailio-exporter"), "")
	checkInstalled(t, debianZshCompletions)
	writeFile(t, defaultsFile, flags)
	if target, err := os.Readlink(enabledLink); err != nil || filepath.Base(target) != filepath.Base(installedUnit) {
		t.Errorf("the service is not enabled: %q, %v", target, err)
	}

	t.Run("mode 0600", func(t *testing.T) {
		p := startService(t)
		wantWords(t, "the page", get(t, p.url(t)), []string{"\nkamailio_up 0\n"})
		wantWords(t, "the log", p.await(t, "permission denied"), []string{"mode 0600", strings.ReplaceAll(setMode, `"`, `\"`), "kamailio"})
	})

	stopKamailio(t, kamailio)
	kamailio = startKamailio(t, setMode)
	t.Run("mode 0660", checkScrape)
	stopKamailio(t, kamailio)
	t.Run("under systemd", func(t *testing.T) { checkUnderSystemd(t, "kamailio_exporter.service") })
	t.Run("an instance under systemd", func(t *testing.T) {
		writeFile(t, instanceFile, flags)
		checkUnderSystemd(t, "kamailio_exporter@test.service")
	})
	kamailio = startKamailio(t, setMode)

	t.Run("upgrade", func(t *testing.T) {
		checkUpgrade(t, func() {
			out := dpkg(t, "--force-confdef", "--force-confold", "--install", newer(t, deb))
			wantWords(t, "an upgrade, with the user removed from the group", out,
				[]string{"belongs to the group kamailio", "usermod --append --groups kamailio kamailio_exporter"}, setMode)
		})
		wantWords(t, "dpkg-query", output(t, "dpkg-query", "-f", "${Version} ${Status}", "-W", "kamailio-exporter"), []string{"+newer install ok installed"})
		output(t, "usermod", "--append", "--groups", "kamailio", "kamailio_exporter") // as the package recommends
		output(t, "ln", "-s", installedUnit, enabledLink)                             // as systemctl enable does
		enableInstance(t)
		checkScrape(t)
	})

	t.Run("removal", func(t *testing.T) {
		dpkg(t, "--remove", "kamailio-exporter")
		// Debian's own records of a package whose configuration is still there, and of services to enable, may stay.
		got := slices.DeleteFunc(difference(clean, machine(t)), func(path string) bool {
			return strings.HasPrefix(path, "/var/lib/dpkg/info/kamailio-exporter.") || strings.HasPrefix(path, "/var/lib/systemd/deb-systemd-helper-enabled")
		})
		if want := []string{defaultsFile, instanceFile, defaultsFile + ".dpkg-dist", enabledLink, instanceLink, "user kamailio_exporter"}; !slices.Equal(got, want) {
			t.Errorf("a removal leaves %q, want the configuration only: %q", got, want)
		}
	})

	t.Run("second installation", func(t *testing.T) {
		wantWords(t, "a second installation", dpkg(t, "--force-confold", "--install", deb), nil, "kamailio_exporter:")
		checkScrape(t) // with the flags that were set before the removal
	})

	t.Run("purge", func(t *testing.T) {
		dpkg(t, "--purge", "kamailio-exporter")
		if left := difference(clean, machine(t)); !slices.Equal(left, []string{instanceFile}) {
			t.Errorf("a purge leaves %q, want the administrator's file only: %q", left, instanceFile)
		}
	})
	stopKamailio(t, kamailio)
}

// TestInstallRPM installs, upgrades and removes the rpm on this machine, in a database of its own. Debian's packages are not
// in that database, so dependencies are not checked.
func TestInstallRPM(t *testing.T) {
	file := only(t, "*."+thisPlatform(t).rpm+".rpm")
	clean := prepareMachine(t)
	database := t.TempDir()
	run := func(args ...string) {
		rpm(t, append([]string{"--dbpath", database, "--nodeps", "--noplugins", "--force-debian"}, args...)...)
	}
	onEnd(t, func() {
		if _, err := os.Stat(installedUnit); err == nil {
			run("--erase", "kamailio-exporter")
		}
	})

	run("--install", file)
	checkInstalled(t, zshCompletions)
	checkUpgrade(t, func() { run("--upgrade", "--replacepkgs", file) })

	if _, err := exec.LookPath("systemctl"); err == nil {
		onEnd(t, func() { output(t, "rm", "-f", instanceLink) })
		enableInstance(t) // the removal disables it
	}
	run("--erase", "kamailio-exporter")
	if got, want := difference(clean, machine(t)), []string{defaultsFile + ".rpmsave", "user kamailio_exporter"}; !slices.Equal(got, want) {
		t.Errorf("a removal leaves %q, want the configuration only: %q", got, want)
	}
	wantText(t, "the file of flags", string(contents(t, defaultsFile+".rpmsave")), flags)
	if err := os.Remove(defaultsFile + ".rpmsave"); err != nil {
		t.Error(err)
	}
}

// prepareMachine prepares this machine for an installation and returns its state. The test is skipped if it cannot install
// the package or if the machine has some of its files already. It fails if it leaves anything behind.
func prepareMachine(t *testing.T) (clean map[string]bool) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: an installation needs root; run make test-release as root to test it")
	}
	if _, err := exec.LookPath("deb-systemd-helper"); err != nil {
		t.Skip("SKIPPED: this is not a Debian machine: ", err)
	}
	if _, err := user.Lookup("kamailio_exporter"); err == nil {
		t.Skip("SKIPPED: this machine already has a user kamailio_exporter")
	}
	for _, path := range []string{"/run/systemd/system", kamailioDir, defaultsFile, "/usr/bin/kamailio_exporter", "/usr/bin/kamrpc", installedUnit} {
		if _, err := os.Lstat(path); err == nil {
			t.Skipf("SKIPPED: this machine already has %s, which the test would change", path)
		}
	}
	lock, err := os.Open("/usr/bin/dpkg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Skip("SKIPPED: another such test is running: ", err)
	}

	before := machine(t)
	t.Cleanup(func() {
		if left := difference(before, machine(t)); len(left) > 0 {
			t.Errorf("the test leaves %q", left)
		}
	})
	// The user and the group that Debian's package of Kamailio makes, and the directory of the control socket that its unit makes.
	if _, err := user.Lookup("kamailio"); err != nil {
		output(t, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", kamailioDir, "--shell", "/usr/sbin/nologin", "kamailio")
		onEnd(t, func() { output(t, "userdel", "kamailio") })
	}
	onEnd(t, func() { os.RemoveAll(kamailioDir) })
	output(t, "install", "-d", "-m", "0770", "-o", "kamailio", "-g", "kamailio", kamailioDir)
	onEnd(t, func() { // after a failed test, or a removal of the rpm
		if _, err := user.Lookup("kamailio_exporter"); err == nil {
			output(t, "userdel", "kamailio_exporter")
		}
	})
	return machine(t)
}

// listMachine prints what an installation could change: files, users, and groups with their members. It does not print
// backups that the tools for users and dpkg make, and what other programs use meanwhile.
const listMachine = `
find /etc /opt /run /srv /usr /var -ignore_readdir_race -regextype posix-extended \
	\( -path /var/cache -o -path /var/log -o -path /var/tmp -o -path /var/lib/apt \) -prune -print -o \
	! -regex '/etc/[^/]*-|/var/lib/dpkg/[^/]*-old|/var/lib/dpkg/triggers/.*|/run/adduser|/run/kamailio/kamailio_ctl' -print
awk -F: 'FNR == NR { users[$1]; print "user " $1; next } !($1 in users) { print "group " $0 }' /etc/passwd /etc/group`

func machine(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for line := range strings.Lines(output(t, "sh", "-e", "-c", listMachine)) {
		found[strings.TrimSpace(line)] = true
	}
	return found
}

func difference(before, after map[string]bool) []string {
	changed := maps.Clone(after)
	for name := range before {
		if !after[name] {
			changed["missing: "+name] = true
		}
		delete(changed, name)
	}
	return slices.Sorted(maps.Keys(changed))
}

// startKamailio starts a Kamailio whose control socket is where the exporter expects it and belongs to the user kamailio.
func startKamailio(t *testing.T, config string) *lab.Kamailio {
	t.Helper()
	k, err := lab.Start(context.WithoutCancel(t.Context()), lab.Options{Minimal: true, Config: `
modparam("ctl", "binrpc", "unix:` + kamailioSocket + `")
modparam("ctl", "user", "kamailio")
modparam("ctl", "group", "kamailio")
` + config})
	if err != nil {
		t.Fatal(err)
	}
	onEnd(t, func() { stopKamailio(t, k) })
	wantText(t, "the owner of the socket", output(t, "stat", "--format=%U:%G", kamailioSocket), "kamailio:kamailio")
	return k
}

func stopKamailio(t *testing.T, k *lab.Kamailio) {
	t.Helper()
	if err := k.Stop(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(kamailioSocket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// dpkg runs dpkg without questions to the user and returns its output. An interrupted test waits for it.
func dpkg(t *testing.T, args ...string) string {
	t.Helper()
	undo.Lock()
	defer undo.Unlock()
	out, err := tryDpkg(t, args...)
	if err != nil {
		t.Fatalf("dpkg %q: %v\n%s", args, err, out)
	}
	return out
}

func tryDpkg(t *testing.T, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dpkg", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// purge removes the package in any state, its configuration and its user. After an interruption, processes of that user may
// still be ending, and nothing reports their end: so purge tries for a while.
func purge(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		out, err := tryDpkg(t, "--purge", "--force-remove-reinstreq", "kamailio-exporter")
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Errorf("purge the package: %v\n%s", err, out)
			return
		}
	}
}

func checkGroups(t *testing.T, want string) {
	t.Helper()
	wantText(t, "the user's groups", output(t, "id", "-nG", "kamailio_exporter"), want)
}

// checkInstalled checks that the files of the package exist, and a system user in Kamailio's group.
func checkInstalled(t *testing.T, zshDir string) {
	t.Helper()
	for name := range packaged(t, zshDir) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	checkGroups(t, "kamailio_exporter kamailio")
	account := output(t, "getent", "passwd", "kamailio_exporter")
	if !regexp.MustCompile(`^kamailio_exporter:x:[1-9]\d{0,2}:\d+:[^:]*:/nonexistent:/usr/sbin/nologin\n$`).MatchString(account) {
		t.Errorf("the account of a system user is %s", account)
	}
}

// checkUpgrade upgrades the package after an administrator has changed the flags, whether the service is enabled and the
// groups of its user. All must stay as it was.
func checkUpgrade(t *testing.T, upgrade func()) {
	t.Helper()
	writeFile(t, defaultsFile, flags)
	if err := os.Remove(enabledLink); err != nil && !errors.Is(err, fs.ErrNotExist) { // as systemctl disable does
		t.Fatal(err)
	}
	output(t, "usermod", "--groups", "", "kamailio_exporter")
	upgrade()
	wantText(t, "the file of flags", string(contents(t, defaultsFile)), flags)
	if _, err := os.Lstat(enabledLink); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the upgrade enables the service: %v", err)
	}
	checkGroups(t, "kamailio_exporter")
}

// enableInstance enables an instance of kamailio_exporter@.service, as systemctl enable does.
func enableInstance(t *testing.T) {
	t.Helper()
	output(t, "ln", "-s", "/usr/lib/systemd/system/kamailio_exporter@.service", instanceLink)
}

// runService runs the command line of a unit as its user, in that user's groups: systemd's lists of variables and commands are
// also those of a shell.
const runService = `
value() { sed -n "s/^$1=-\\?//p" "$unit"; }
unit=$0
. "$(value EnvironmentFile)"
eval "exec setpriv --reuid=$(value User) --regid=$(value Group) --init-groups --no-new-privs --bounding-set=-all --inh-caps=-all $(value ExecStart)"`

func startService(t *testing.T) *process {
	t.Helper()
	return start(t, func(cmd *exec.Cmd) { cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin"} }, "sh", "-e", "-c", runService, installedUnit)
}

// checkScrape starts the service, which must scrape Kamailio and report its build.
func checkScrape(t *testing.T) {
	t.Helper()
	p := startService(t)
	defer p.stop()
	checkPage(t, get(t, p.url(t)))
}

// shown matches the samples of a page that a failed test prints.
var shown = regexp.MustCompile(`(?m)^(?:kamailio_(?:up|exporter|tm)|process)_?.*$`)

func checkPage(t *testing.T, page string) {
	t.Helper()
	want := wantedStamp(t)
	build := `kamailio_exporter_build_info\{branch="` + want.branch + `",goarch="[^"]+",goos="linux",goversion="go[^"]+",revision="` +
		want.revision + `",tags="[^"]*",version="` + regexp.QuoteMeta(want.version) + `"\} 1$`
	for _, pattern := range []string{
		"kamailio_up 1$", "kamailio_tm_stats_current ", `kamailio_sip_up\{.*transport="udp"\} 1$`, build, "process_start_time_seconds ", "process_open_fds ",
		"process_max_fds ", "process_network_receive_bytes_total ",
	} {
		if !regexp.MustCompile("(?m)^" + pattern).MatchString(page) {
			t.Errorf("%s is not among\n%s", pattern, strings.Join(shown.FindAllString(page, -1), "\n"))
		}
	}
}

// hostSeries are series of Kamailio's processes and sockets, which the restrictions of a unit could hide.
var hostSeries = []string{`kamailio_process_cpu_seconds_total\{.*role="udp receiver`, `kamailio_socket_receive_queue_bytes\{`, `kamailio_socket_accept_queue\{`}

// checkUnderSystemd checks that a service works with all restrictions of its unit, started and reloaded by a real systemd. Kamailio
// runs next to it, as on a real machine.
func checkUnderSystemd(t *testing.T, unit string) {
	t.Helper()
	root := filepath.Join(filepath.Dir(tool(t, systemd, "systemd-analyze")), "../root")
	atOnce := func(cmd *exec.Cmd) { cmd.WaitDelay = time.Second } // unshare ignores SIGTERM, and there is nothing to save
	p := start(t, atOnce, "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"sh", "systemd_test.sh", t.TempDir(), root, unit)
	if _, err := p.log.Await(regexp.MustCompile("mounted"), p.Done(), time.Minute); err != nil {
		t.Skip("SKIPPED: file systems that systemd needs cannot be mounted here: ", err)
	}
	runKamailioWith(t, p)
	kamailio := startKamailio(t, setMode)
	defer stopKamailio(t, kamailio)
	page := get(t, p.url(t))
	checkPage(t, page)
	for _, series := range hostSeries {
		if !regexp.MustCompile("(?m)^" + series).MatchString(page) {
			t.Errorf("%s is not on the page", series)
		}
	}
	writeFile(t, reloadFile, "")
	defer output(t, "rm", reloadFile)
	p.await(t, "SIGHUP")
	checkPage(t, get(t, p.url(t)))
}

// runKamailioWith makes the lab start Kamailio in the PID namespace of unshare's child.
func runKamailioWith(t *testing.T, unshare *process) {
	t.Helper()
	dir, err := lab.Fetch(t.Context(), lab.Bookworm)
	if err != nil {
		t.Fatal(err)
	}
	modules, err := filepath.Glob(filepath.Join(dir, "root/usr/lib/*/kamailio/modules"))
	if err != nil || len(modules) != 1 {
		t.Fatalf("modules of Kamailio: %q, %v", modules, err)
	}
	pid := unshare.PID()
	child := strings.TrimSpace(string(contents(t, fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))))
	script := filepath.Join(t.TempDir(), "kamailio")
	writeFile(t, script, fmt.Sprintf("#!/bin/sh\nexec nsenter --target %s --pid -- %s \"$@\"\n", child, filepath.Join(dir, "bin/kamailio")))
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KAMAILIO", script)
	t.Setenv("KAMAILIO_MODULES", modules[0])
}

// newer makes a newer version of a deb, with another file of flags.
func newer(t *testing.T, deb string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	output(t, "dpkg-deb", "-R", deb, root)
	output(t, "sed", "-i", "/^Version: /s/$/+newer/", root+"/DEBIAN/control")
	writeFile(t, root+defaultsFile, "# The newer version's.\nARGS=\"\"\n")
	path := filepath.Join(t.TempDir(), "newer.deb")
	output(t, "dpkg-deb", "-b", "-Zgzip", "-z1", root, path)
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
