//go:build linux

package packaging

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
	// modeWord is what sets the socket's mode right, as the package and the exporter say it.
	modeWord = `modparam("ctl", "mode", 0660)`
)

// TestInstall installs the deb on this machine and runs the unit's own command line as the unit's user against a Kamailio
// whose socket belongs to Kamailio's user; then it upgrades and removes the package and looks at what is left.
func TestInstall(t *testing.T) {
	deb := only(t, "*_"+debArch(t)+".deb")
	mayInstall(t)
	before := machine(t)
	t.Cleanup(func() {
		if left := difference(before, machine(t)); len(left) > 0 {
			t.Errorf("the test leaves behind %q", left)
		}
	})
	becomeKamailiosHost(t)
	onEnd(t, func() { removeUser(t) })
	onEnd(t, func() { purge(t) })
	clean := machine(t)

	kamailio := startKamailio(t, "")
	said := dpkg(t, "--install", deb)
	wantWords(t, "after installation on a socket of mode 0600", said, []string{kamailioSocket + " has mode 600", modeWord}, "usermod")
	checkInstalled(t)
	writeFile(t, defaultsFile, "# Ours.\nARGS=\"--web.listen-address=127.0.0.1:0\"\n")

	t.Run("mode 0600", func(t *testing.T) {
		p, url := startService(t)
		if page := get(t, url+"/metrics"); !strings.Contains(page, "\nkamailio_up 0\n") {
			t.Errorf("the page is\n%s", page)
		}
		hint := p.await(t, "permission denied")
		for _, want := range []string{`mode 0600`, strings.ReplaceAll(modeWord, `"`, `\"`), "kamailio"} {
			if !strings.Contains(hint, want) {
				t.Errorf("the log does not say %s: %s", want, hint)
			}
		}
	})

	stopKamailio(t, kamailio)
	kamailio = startKamailio(t, `modparam("ctl", "mode", 0660)`)
	t.Run("mode 0660", func(t *testing.T) { checkScrape(t) })
	t.Run("under systemd", checkUnderSystemd)

	t.Run("upgrade", func(t *testing.T) {
		loseNoSetting(t, deb)
		checkScrape(t)
	})

	t.Run("removal", func(t *testing.T) {
		dpkg(t, "--remove", "kamailio-exporter")
		want := []string{defaultsFile, defaultsFile + ".dpkg-dist", enabledLink, "user kamailio_exporter"}
		got := slices.DeleteFunc(difference(clean, machine(t)), isBookkeeping)
		if !slices.Equal(got, want) {
			t.Errorf("after removal there is %q, want the configuration alone: %q", got, want)
		}
	})

	t.Run("second installation", func(t *testing.T) {
		said := dpkg(t, "--force-confold", "--install", deb)
		wantWords(t, "where all is well", said, nil, "kamailio_exporter:")
		checkScrape(t) // with the flags of before the removal
	})

	t.Run("purge", func(t *testing.T) {
		dpkg(t, "--purge", "kamailio-exporter")
		if left := difference(clean, machine(t)); len(left) > 0 {
			t.Errorf("after a purge there is %q", left)
		}
	})
	stopKamailio(t, kamailio)
}

// TestInstallRPM installs, upgrades and removes the rpm on this machine, in a database of its own. The dependencies are not
// checked, as Debian's packages are not in that database.
func TestInstallRPM(t *testing.T) {
	arch := slices.IndexFunc(packageArches, func(a packageArch) bool { return a.deb == debArch(t) })
	if arch < 0 {
		t.Skip("SKIPPED: there is no rpm for this machine")
	}
	file := only(t, "*."+packageArches[arch].rpm+".rpm")
	mayInstall(t)
	before := machine(t)
	t.Cleanup(func() {
		if left := difference(before, machine(t)); len(left) > 0 {
			t.Errorf("the test leaves behind %q", left)
		}
	})
	becomeKamailiosHost(t)
	clean := machine(t)
	database := t.TempDir()
	run := func(args ...string) {
		rpm(t, append([]string{"--dbpath", database, "--nodeps", "--noplugins", "--force-debian"}, args...)...)
	}
	onEnd(t, func() { removeUser(t) })
	onEnd(t, func() {
		if _, err := os.Stat(installedUnit); err == nil {
			run("--erase", "kamailio-exporter")
		}
	})

	run("--install", file)
	for name := range packaged(t) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"kamailio_exporter", "kamailio"}; !slices.Equal(groupNames(t), want) {
		t.Errorf("the user is in %q, want %q", groupNames(t), want)
	}
	const flags = "ARGS=\"--web.listen-address=127.0.0.1:0\"\n"
	writeFile(t, defaultsFile, flags)
	disabled := os.Remove(enabledLink) == nil // where there is a systemctl, the service was enabled
	output(t, "usermod", "--groups", "", "kamailio_exporter")

	run("--upgrade", "--replacepkgs", file)
	if got := string(contents(t, defaultsFile)); got != flags {
		t.Errorf("after an upgrade, the flags are %s", got)
	}
	if _, err := os.Lstat(enabledLink); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after an upgrade, the service is enabled (it was disabled before: %t): %v", disabled, err)
	}
	if want := []string{"kamailio_exporter"}; !slices.Equal(groupNames(t), want) {
		t.Errorf("after an upgrade, the user is in %q, want %q", groupNames(t), want)
	}

	run("--erase", "kamailio-exporter")
	if got, want := difference(clean, machine(t)), []string{defaultsFile + ".rpmsave", "user kamailio_exporter"}; !slices.Equal(got, want) {
		t.Errorf("after removal there is %q, want the configuration alone: %q", got, want)
	}
	if got := string(contents(t, defaultsFile+".rpmsave")); got != flags {
		t.Errorf("after removal, the flags are %s", got)
	}
	if err := os.Remove(defaultsFile + ".rpmsave"); err != nil {
		t.Error(err)
	}
}

// removeUser removes the package's user if it is there still: after a failed test, or a removal of the rpm.
func removeUser(t *testing.T) {
	t.Helper()
	if _, err := user.Lookup("kamailio_exporter"); err == nil {
		output(t, "userdel", "kamailio_exporter")
	}
}

// mayInstall skips the test where it could not install the package or would get in the way of something.
func mayInstall(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: installing the deb needs root; run make test-release as root to test it")
	}
	if _, err := exec.LookPath("deb-systemd-helper"); err != nil {
		t.Skip("SKIPPED: this is no Debian machine: ", err)
	}
	if _, err := user.Lookup("kamailio_exporter"); err == nil {
		t.Skip("SKIPPED: this machine has a user kamailio_exporter already")
	}
	for _, path := range []string{"/run/systemd/system", kamailioDir, defaultsFile, "/usr/bin/kamailio_exporter", "/usr/bin/kamrpc", installedUnit} {
		if _, err := os.Lstat(path); err == nil {
			t.Skipf("SKIPPED: this machine has %s, and the test would get in its way", path)
		}
	}
	// Two such tests on one machine would see each other's package.
	file, err := os.Open("/usr/bin/dpkg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Skip("SKIPPED: another such test is under way: ", err)
	}
}

// machine is what an installation could change: the names of files, and users and groups with their members.
func machine(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, root := range []string{"/etc", "/opt", "/run", "/srv", "/usr", "/var"} {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil // it was another program's
			case err != nil:
				return err
			case entry.IsDir() && slices.Contains([]string{"/var/cache", "/var/log", "/var/tmp", "/var/lib/apt"}, path):
				return fs.SkipDir
			case path != kamailioSocket && !isBackup(path):
				found[path] = true
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range strings.Split(string(contents(t, "/etc/passwd")), "\n") {
		name, _, _ := strings.Cut(line, ":")
		found["user "+name] = true
	}
	for _, line := range strings.Split(string(contents(t, "/etc/group")), "\n") {
		if name, _, _ := strings.Cut(line, ":"); !found["user "+name] {
			found["group "+line] = true
		}
	}
	return found
}

// isBackup reports whether a file is one that the tools for users, or dpkg, keep of before a change, or the lock of adduser.
func isBackup(path string) bool {
	return filepath.Dir(path) == "/etc" && strings.HasSuffix(path, "-") ||
		filepath.Dir(path) == "/var/lib/dpkg" && strings.HasSuffix(path, "-old") ||
		filepath.Dir(path) == "/var/lib/dpkg/triggers" || path == "/run/adduser"
}

// isBookkeeping tells whether a path is Debian's own note of a package whose configuration is still there, or of whether
// a service is to be enabled.
func isBookkeeping(path string) bool {
	return strings.HasPrefix(path, "/var/lib/dpkg/info/kamailio-exporter.") || strings.HasPrefix(path, "/var/lib/systemd/deb-systemd-helper-enabled")
}

func difference(before, after map[string]bool) []string {
	changed := maps.Clone(after)
	for name := range before {
		if !after[name] {
			changed["no more: "+name] = true
		}
		delete(changed, name)
	}
	return slices.Sorted(maps.Keys(changed))
}

// becomeKamailiosHost makes what Debian's package of Kamailio makes: a user and a group, and what its unit makes: the
// directory of the control socket.
func becomeKamailiosHost(t *testing.T) {
	t.Helper()
	if _, err := user.Lookup("kamailio"); err != nil {
		output(t, "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", kamailioDir, "--shell", "/usr/sbin/nologin", "kamailio")
		onEnd(t, func() { output(t, "userdel", "kamailio") })
	}
	if err := os.Mkdir(kamailioDir, 0o770); err != nil {
		t.Fatal(err)
	}
	onEnd(t, func() { os.RemoveAll(kamailioDir) })
	output(t, "chown", "kamailio:kamailio", kamailioDir)
	output(t, "chmod", "0770", kamailioDir)
}

// startKamailio starts a Kamailio with a control socket where the exporter looks for it, which belongs to the user kamailio.
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
	info, err := os.Stat(kamailioSocket)
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if uid, gid := ids(t, "kamailio"); !ok || owner.Uid != uid || owner.Gid != gid {
		t.Errorf("the socket belongs to %+v, want %d:%d", owner, uid, gid)
	}
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

// dpkg runs dpkg as a script would, without anybody to ask, and returns what it said.
func dpkg(t *testing.T, args ...string) string {
	t.Helper()
	undo.Lock() // who interrupts the test waits for it
	defer undo.Unlock()
	return runDpkg(t, args...)
}

func runDpkg(t *testing.T, args ...string) string {
	t.Helper()
	out, err := tryDpkg(t, args...)
	if err != nil {
		t.Fatalf("dpkg %q: %v\n%s", args, err, out)
	}
	return out
}

func tryDpkg(t *testing.T, args ...string) (said string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dpkg", args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// purge removes the package, in whatever state it is, its configuration and its user. After an interruption, processes of
// that user may still be ending, which nobody can wait for: so it is tried again for a while.
func purge(t *testing.T) {
	t.Helper()
	const patience, pause = 10 * time.Second, 200 * time.Millisecond
	said, err := tryDpkg(t, "--purge", "--force-remove-reinstreq", "kamailio-exporter")
	for end := time.Now().Add(patience); err != nil && time.Now().Before(end); said, err = tryDpkg(t, "--purge", "--force-remove-reinstreq", "kamailio-exporter") {
		time.Sleep(pause)
	}
	if err != nil {
		t.Errorf("purge the package: %v\n%s", err, said)
	}
}

func wantWords(t *testing.T, when, said string, want []string, not string) {
	t.Helper()
	for _, word := range want {
		if !strings.Contains(said, word) {
			t.Errorf("%s, it does not say %q:\n%s", when, word, said)
		}
	}
	if strings.Contains(said, not) {
		t.Errorf("%s, it says %q:\n%s", when, not, said)
	}
}

// ids are the numbers of a user and of the group of that name.
func ids(t *testing.T, name string) (uid, gid uint32) {
	t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		t.Fatal(err)
	}
	return number(t, u.Uid), number(t, g.Gid)
}

func number(t *testing.T, text string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func groupNames(t *testing.T) []string {
	t.Helper()
	return strings.Fields(output(t, "id", "-nG", "kamailio_exporter"))
}

// checkInstalled checks what the package brought: its files, and a system user who is in Kamailio's group.
func checkInstalled(t *testing.T) {
	t.Helper()
	if said := dpkg(t, "--verify", "kamailio-exporter"); said != "" {
		t.Errorf("dpkg --verify says %s", said)
	}
	for name := range packaged(t) {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"kamailio_exporter", "kamailio"}; !slices.Equal(groupNames(t), want) {
		t.Errorf("the user is in %q, want %q", groupNames(t), want)
	}
	fields := strings.Split(strings.TrimSpace(output(t, "getent", "passwd", "kamailio_exporter")), ":")
	if uid := number(t, fields[2]); uid == 0 || uid >= 1000 {
		t.Errorf("the user's number %d is none of a system user", uid)
	}
	if fields[5] != "/nonexistent" || fields[6] != "/usr/sbin/nologin" {
		t.Errorf("the user has home %s and shell %s", fields[5], fields[6])
	}
	if target, err := os.Readlink(enabledLink); err != nil || filepath.Base(target) != filepath.Base(installedUnit) {
		t.Errorf("the service is not enabled: %q, %v", target, err)
	}
}

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// startService runs the command line of the installed unit as the unit's user, in that user's groups, and returns where it
// listens.
func startService(t *testing.T) (p *process, url string) {
	t.Helper()
	s, err := readService(installedUnit)
	if err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"--reuid=" + s.user, "--regid=" + s.group, "--init-groups",
		"--no-new-privs", "--bounding-set=-all", "--inh-caps=-all",
	}, s.command...)
	p = start(t, func(cmd *exec.Cmd) { cmd.Dir, cmd.Env = "/", []string{} }, "setpriv", args...)
	line := p.await(t, "Listening on")
	return p, "http://" + listening.FindStringSubmatch(line)[1]
}

// telling matches the samples of a page that a failed test shows.
var telling = regexp.MustCompile(`(?m)^(?:kamailio_(?:up|exporter|tm)|process)_?.*$`)

// checkScrape checks that the service, once started, scrapes Kamailio and says what was built.
func checkScrape(t *testing.T) {
	t.Helper()
	p, url := startService(t)
	defer p.stop()
	checkPage(t, get(t, url+"/metrics"))
}

func checkPage(t *testing.T, page string) {
	t.Helper()
	want := wantedStamp(t)
	build := `(?m)^kamailio_exporter_build_info\{branch="` + want.branch + `",goarch="[^"]+",goos="linux",goversion="go[^"]+",revision="` +
		want.revision + `",tags="[^"]*",version="` + regexp.QuoteMeta(want.version) + `"\} 1$`
	for _, pattern := range []string{
		`(?m)^kamailio_up 1$`, `(?m)^kamailio_tm_stats_current `, build,
		`(?m)^process_start_time_seconds `, `(?m)^process_open_fds `, `(?m)^process_max_fds `, `(?m)^process_network_receive_bytes_total `,
	} {
		if !regexp.MustCompile(pattern).MatchString(page) {
			t.Errorf("%s is not among these:\n%s", pattern, strings.Join(telling.FindAllString(page, -1), "\n"))
		}
	}
}

// checkUnderSystemd checks that the service can do its work in all the confinement that the unit asks for, by the hand of a
// real systemd.
func checkUnderSystemd(t *testing.T) {
	analyze := tool(t, systemd, "systemd-analyze")
	root := filepath.Join(filepath.Dir(analyze), "../root")
	atOnce := func(cmd *exec.Cmd) { cmd.WaitDelay = time.Second } // unshare does not heed SIGTERM, and there is nothing to save
	p := start(t, atOnce, "unshare", "--mount", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"sh", "systemd_test.sh", t.TempDir(), root)
	if _, err := p.says("mounted"); err != nil {
		t.Skip("SKIPPED: what systemd needs cannot be mounted here: ", err)
	}
	line := p.await(t, "Listening on")
	checkPage(t, get(t, "http://"+listening.FindStringSubmatch(line)[1]+"/metrics"))
}

// loseNoSetting upgrades the package after an administrator has changed all that there is to change: the flags, whether
// the service is enabled, and the groups of its user. All stays as it was.
func loseNoSetting(t *testing.T, deb string) {
	t.Helper()
	flags := contents(t, defaultsFile)
	if err := os.Remove(enabledLink); err != nil { // as systemctl disable does
		t.Fatal(err)
	}
	output(t, "usermod", "--groups", "", "kamailio_exporter")
	said := dpkg(t, "--force-confdef", "--force-confold", "--install", newer(t, deb))
	wantWords(t, "after an upgrade, with the user taken out of the group", said,
		[]string{"belongs to the group kamailio", "usermod --append --groups kamailio kamailio_exporter"}, modeWord)
	if got := strings.TrimSpace(output(t, "dpkg-query", "-f", "${Version} ${Status}", "-W", "kamailio-exporter")); !strings.HasSuffix(got, "+newer install ok installed") {
		t.Errorf("the package is %s", got)
	}
	if got := contents(t, defaultsFile); string(got) != string(flags) {
		t.Errorf("the flags have become %s", got)
	}
	if _, err := os.Lstat(enabledLink); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the service is enabled again: %v", err)
	}
	if want := []string{"kamailio_exporter"}; !slices.Equal(groupNames(t), want) {
		t.Errorf("the user is in %q, want %q", groupNames(t), want)
	}
	output(t, "usermod", "--append", "--groups", "kamailio", "kamailio_exporter") // as the package said
	if err := os.Symlink(installedUnit, enabledLink); err != nil {                // as systemctl enable does
		t.Fatal(err)
	}
}

// newer makes a newer version of a deb, with another file of defaults.
func newer(t *testing.T, deb string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	output(t, "dpkg-deb", "-R", deb, root)
	control := filepath.Join(root, "DEBIAN/control")
	old := string(contents(t, control))
	changed := regexp.MustCompile(`(?m)^Version: .*$`).ReplaceAllString(old, "$0+newer")
	if changed == old {
		t.Fatal("the deb has no version")
	}
	writeFile(t, control, changed)
	writeFile(t, filepath.Join(root, defaultsFile), "# The newer version's.\nARGS=\"\"\n")
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
