package host

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
)

const statLine = "4711 (%s) R 4700 4700 4700 0 -1 4194624 1153 0 0 0 250 31 0 0 20 0 1 0 987654 283582464 5712 18446744073709551615 1 1 0 0 0 0 0 16781312 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

func TestParseStat(t *testing.T) {
	for _, name := range []string{"kamailio", "a b", "x) S 1 1 1", "((", ") R 1", "new\nline"} {
		got, ok := parseStat([]byte(strings.Replace(statLine, "%s", name, 1)))
		if want := (stat{state: 'R', parent: 4700, ticks: 281, start: 987654}); !ok || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", name, got, ok, want)
		}
	}
	for _, text := range []string{"", "1 (a", "1 (a)", "1 (a) RR 1", "1 (a) R x 1 1 0 -1 1 1 0 0 0 1 1 0 0 20 0 1 0 9", "1 (a) R 1 1 1 0 -1 1 1 0 0 0 1 1 0 0 20 0 1 0", "1 (a) R 1 1 1 0 -1 1 1 0 0 0 1 1 0 0 20 0 1 0 x"} {
		if got, ok := parseStat([]byte(text)); ok {
			t.Errorf("%q: got %+v, want an error", text, got)
		}
	}
}

func TestParseStatus(t *testing.T) {
	const text = "Name:\tkama\\nNSpid:\t7\t8\nState:\tS (sleeping)\nPid:\t4711\nNSpid:\t4711\t12\nRssAnon:\t    5712 kB\n" +
		"voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t3\n"
	if got, want := parseStatus([]byte(text)), (status{4711, 2, 5712 * 1024, 150, 3}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := parseStatus([]byte("Pid:\t-1\nRssAnon:\t99999999999999999999 kB\nRssAnon\n:")); got != (status{}) {
		t.Errorf("got %+v for invalid fields", got)
	}
}

func TestParseRow(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the lines are those of a machine that begins with the lowest byte")
	}
	for line, want := range map[string]row{
		" 9246: 0100007F:13C4 00000000:0000 07 00000000:000A2F00 00:00000000 00000000     0        0 5437038 2 00000000b610a0f7 335": {local: netip.MustParseAddrPort("127.0.0.1:5060"), queue: 0xa2f00, inode: 5437038, dropped: 335},
		"  12: 00000000000000000000000001000000:13C4 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000  112        0 18 2 0000000000000000 0": {
			local: netip.MustParseAddrPort("[::1]:5060"), inode: 18},
		"   0: B80D0120000000000000000001000000:13C5 00000000000000000000000000000000:0000 0A 00000000:00000003 00:00000000 00000000  112        0 19 1 0000000000000000 100 0 0 10 0": {
			local: netip.MustParseAddrPort("[2001:db8::1]:5061"), listens: true, queue: 3, inode: 19},
		"   1: 0100007F:13C4 0100007F:C001 01 00000000:00000000 00:00000000 00000000  112        0 20 1 0000000000000000 20 4 30 10 -1": {
			local: netip.MustParseAddrPort("127.0.0.1:5060"), connected: true, inode: 20, dropped: 4},
	} {
		got, ok := parseRow([]byte(line))
		if got.listens || got.connected { // a list of TCP has another field there
			got.dropped = want.dropped
		}
		if !ok || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{
		"", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops",
		"0: 0100007F:13C4 00000000:0000 07", "0: 0100007:13C4 0:0 07 0:0 0 0 0 0 1 0 0 0", "0: 0100007F:13C4X 00000000:0000 07 0:0 0 0 0 0 1 0 0 0",
		"0: 0100007F:13C4 00000000:0000 07 0-0 0 0 0 0 1 0 0 0", "0: XX00007F:13C4 00000000:0000 07 0:0 0 0 0 0 1 0 0 0",
	} {
		if got, ok := parseRow([]byte(line)); ok {
			t.Errorf("%q: got %+v, want an error", line, got)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine))
	f.Add([]byte("1 (a) b) S 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, ok := parseStat(text); !ok && s != (stat{}) || ok && (s.state == 0 || s.parent < 0) {
			t.Errorf("got %+v, %v", s, ok)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Pid:\t1\nNSpid:\t1\nRssAnon:\t1 kB\nvoluntary_ctxt_switches:\t150\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s := parseStatus(text); s.pid < 0 || s.namespaces > len(text) {
			t.Errorf("got %+v", s)
		}
	})
}

func FuzzParseRow(f *testing.F) {
	f.Add([]byte(" 9246: 0100007F:13C4 00000000:0000 07 00000000:000A2F00 00:00000000 00000000     0        0 5437038 2 00000000b610a0f7 335"))
	f.Add([]byte("  12: 00000000000000000000000001000000:13C4 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000  112        0 18 2"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if r, ok := parseRow(line); ok && !r.local.IsValid() || !ok && r != (row{}) {
			t.Errorf("got %+v, %v", r, ok)
		}
	})
}
