//go:build linux

package scrape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/host"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/lab"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpctest"
)

// The environment variables with which this test program starts itself in namespaces. helperTask is the name of a task, and
// helperArg its argument.
const (
	helperTask = "KAMAILIO_EXPORTER_TEST_TASK"
	helperArg  = "KAMAILIO_EXPORTER_TEST_ARG"
)

// helperTasks run in a process in namespaces. They write one value in JSON to out.
var helperTasks = map[string]func(arg string, out *os.File) error{
	"scrape":        helpScrape,
	"scrape hidden": helpScrapeHidden,
	"kamailio":      helpKamailio,
	"accident":      helpAccident,
}

func init() {
	task, ok := helperTasks[os.Getenv(helperTask)]
	if !ok {
		return
	}
	if err := task(os.Getenv(helperArg), os.NewFile(3, "out")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// seen is what an exporter shows of the host.
type seen struct {
	Processes, Sockets []string
	Queues             float64 // of all sockets
	Log                string
}

// see scrapes a Kamailio.
func see(uri string) (seen, error) {
	cfg, err := config.Parse([]string{"-m", "core.uptime", "-t", "20s", "--kamailio.host=on", "-u", uri})
	if err != nil {
		return seen{}, err
	}
	var log bytes.Buffer
	target := NewTarget(cfg.Target, slog.New(slog.NewTextHandler(&log, nil)))
	page := hostPage(context.Background(), target)
	if page["up[]"] != 1 {
		err = fmt.Errorf("Kamailio is down: %s", log.String())
	}
	s := seen{Processes: labels(page, "process_cpu_seconds_total"), Log: log.String()}
	for _, family := range []string{"socket_receive_queue_bytes", "socket_accept_queue"} {
		for _, socket := range labels(page, family) {
			s.Sockets = append(s.Sockets, socket)
			s.Queues += page[family+"["+socket+"]"]
		}
	}
	slices.Sort(s.Sockets)
	return s, errors.Join(err, target.Close())
}

// helpScrape writes what an exporter in these namespaces sees. Before that, it fills queues at the address of Kamailio's sockets,
// if that is free here, and mounts /proc if it is in a PID namespace of its own.
func helpScrape(arg string, out *os.File) error {
	uri, addr, _ := strings.Cut(arg, " ")
	if os.Getpid() == 1 {
		if err := mountProc(""); err != nil {
			return err
		}
	}
	if addr != "" {
		socket, err := fillQueue(addr)
		if err != nil {
			return err
		}
		defer socket.Close()
	}
	s, err := see(uri)
	return errors.Join(err, json.NewEncoder(out).Encode(s))
}

// helpScrapeHidden is helpScrape as another user, from whom /proc hides the processes of others.
func helpScrapeHidden(uri string, out *os.File) error {
	if err := mountProc("hidepid=2"); err != nil {
		return err
	}
	const nobody = 65534
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), helperTask+"=scrape", helperArg+"="+uri)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.ExtraFiles = []*os.File{out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd.Run()
}

// mountProc mounts /proc of this PID namespace, for this process and its children.
func mountProc(options string) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, options); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}

// fillQueue opens a UDP socket in a network namespace of its own and fills its queue.
func fillQueue(addr string) (net.Conn, error) {
	if err := setUp("lo"); err != nil {
		return nil, err
	}
	local, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", local)
	if err != nil {
		return nil, err
	}
	for range 10 {
		if _, err := socket.WriteTo(make([]byte, 1000), local); err != nil {
			return nil, err
		}
	}
	return socket, nil
}

// setUp sets a network interface up.
func setUp(name string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	request := struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP}
	copy(request.name[:], name)
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("set %s up: %w", name, errno)
	}
	return nil
}

// helpKamailio runs a Kamailio until the end of the standard input, and writes its URI.
func helpKamailio(_ string, out *os.File) error {
	k, err := lab.Start(context.Background(), lab.Options{Minimal: true})
	if err != nil {
		return err
	}
	err = json.NewEncoder(out).Encode(k.URI("unix"))
	_, readErr := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, readErr, k.Stop())
}

// helpAccident runs a server that has, by accident, the numbers that its processes have outside of its PID namespace. It has the
// /proc of the namespace above.
func helpAccident(path string, out *os.File) error {
	child := exec.CommandContext(context.Background(), "sleep", "1000")
	if err := child.Start(); err != nil {
		return err
	}
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%[1]s/children", self))
	if err != nil {
		return err
	}
	main, _ := strconv.Atoi(self)
	other, _ := strconv.Atoi(strings.TrimSpace(string(children)))
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	server := binrpctest.NewUnstartedServer(func(_ context.Context, call rpc.Call) ([]any, error) {
		process := func(index, pid int) rpc.Members {
			return rpc.Members{{Name: "IDX", Value: index}, {Name: "PID", Value: pid}, {Name: "DSC", Value: "process"}}
		}
		switch call.Method {
		case "core.psx":
			return []any{process(0, main), process(1, other)}, nil
		case "core.sockets_list":
			return []any{rpc.Members{}}, nil
		default:
			return []any{rpc.Members{{Name: "uptime", Value: 1}}}, nil
		}
	})
	go func() { _ = server.Serve(listener) }()
	err = json.NewEncoder(out).Encode([]int{main, other})
	_, readErr := io.Copy(io.Discard, os.Stdin)
	return errors.Join(err, readErr, server.Close(), child.Process.Kill())
}

// startHelper starts a task in new namespaces. It returns what the task writes; stop ends its standard input and waits for it.
func startHelper(t *testing.T, namespaces uintptr, task, arg string) (out *json.Decoder, stop func()) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "/proc/self/exe")
	cmd.Env = append(os.Environ(), helperTask+"="+task, helperArg+"="+arg)
	cmd.ExtraFiles, cmd.Stderr = []*os.File{write}, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	write.Close()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EACCES) {
		t.Skipf("the kernel does not allow new namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return json.NewDecoder(read), func() {
		t.Helper()
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v: %s", task, err, stderr.String())
		}
		read.Close()
	}
}

// seeFrom returns what an exporter in new namespaces sees.
func seeFrom(t *testing.T, namespaces uintptr, task, arg string) (s seen) {
	t.Helper()
	out, stop := startHelper(t, namespaces, task, arg)
	err := out.Decode(&s)
	stop()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check compares what was seen with the wanted numbers of processes and sockets and the reasons in the log.
func (s seen) check(t *testing.T, what string, processes, sockets int, reasons ...error) {
	t.Helper()
	if len(s.Processes) != processes || len(s.Sockets) != sockets || s.Queues != 0 {
		t.Errorf("%s: processes %q, sockets %q with %v in the queues; want %d and %d, and empty queues", what, s.Processes, s.Sockets, s.Queues, processes, sockets)
	}
	if got := strings.Count(s.Log, "\n"); got != len(reasons) {
		t.Errorf("%s: %d lines, want %d:\n%s", what, got, len(reasons), s.Log)
	}
	for _, reason := range reasons {
		if !strings.Contains(s.Log, reason.Error()) {
			t.Errorf("%s: the log does not have %q:\n%s", what, reason, s.Log)
		}
	}
}

// TestHostNamespaces has exporters and Kamailios in different namespaces. The sockets at the address of Kamailio's that other
// network namespaces have are not empty.
func TestHostNamespaces(t *testing.T) {
	const pid, network, mount = syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, syscall.CLONE_NEWNET, syscall.CLONE_NEWNS
	k := lab.StartTest(t, lab.Options{Minimal: true})
	uri, processes, sockets := k.URI("unix"), len(pidsOf(t, k, "")), 2 // UDP and TCP
	for _, test := range []struct {
		name               string
		namespaces         uintptr
		addr               string
		processes, sockets int
		reasons            []error
	}{
		{"same namespaces", mount, "", processes, sockets, nil},
		{"another PID namespace", pid, "", 0, sockets, []error{host.ErrOtherNamespace}},
		{"another network namespace", network, k.SIPAddr(), processes, sockets, nil},
		{"other PID and network namespaces", pid | network, k.SIPAddr(), 0, 0, []error{host.ErrOtherNamespace, host.ErrOtherNetwork}},
	} {
		seeFrom(t, test.namespaces, "scrape", strings.TrimSpace(uri+" "+test.addr)).check(t, test.name, test.processes, test.sockets, test.reasons...)
	}
	if os.Getuid() == 0 { // otherwise there is no other user
		for path, mode := range map[string]os.FileMode{k.Dir: 0o755, filepath.Join(k.Dir, "kamailio_ctl"): 0o777} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		seeFrom(t, mount, "scrape hidden", uri).check(t, "hidden processes", 0, sockets, host.ErrHidden)
	}
}

// TestHostOfKamailioInNamespaces has a Kamailio in a container.
func TestHostOfKamailioInNamespaces(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real Kamailio; run without -short")
	}
	out, stop := startHelper(t, syscall.CLONE_NEWPID|syscall.CLONE_NEWNS, "kamailio", "")
	defer stop()
	var uri string
	if err := out.Decode(&uri); err != nil {
		t.Fatal(err)
	}
	s, err := see(uri)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, "Kamailio in a PID namespace", 0, 2, host.ErrOtherNamespace)
}

// TestHostOfEqualPIDs has a server in a PID namespace whose numbers for its processes are, by accident, theirs in this namespace.
func TestHostOfEqualPIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	out, stop := startHelper(t, syscall.CLONE_NEWPID, "accident", path)
	defer stop()
	var pids []int
	if err := out.Decode(&pids); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("PID %d: %v", pid, err)
		}
	}
	s, err := see("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	s.check(t, "equal PIDs", 0, 0, host.ErrOtherNamespace)
}
