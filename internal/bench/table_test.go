//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	t.Parallel()
	got := table([]row{
		ratioRow("within", 200*time.Microsecond, 1198*time.Microsecond, 6),
		ratioRow("beyond", 100*time.Millisecond, 121*time.Millisecond, 1.2),
		timeRow("a time", 59900*time.Microsecond, 60*time.Millisecond),
		memoryRow("memory", 18e6+1, 18e6),
	})
	want := `| work | floor | exporter | ratio or figure | at most |
|---|---|---|---|---|
| within | 0.2 ms | 1.2 ms | 5.99 × | 6 × |
| beyond | 100 ms | 121 ms | 1.21 × | 1.2 ×, missed |
| a time |  |  | 59.9 ms | 60 ms |
| memory |  |  | 18 MB | 18 MB, missed |
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 0, 100)
	for i := 100; i > 0; i-- {
		hundred = append(hundred, time.Duration(i))
	}
	for _, test := range []struct {
		times []time.Duration
		p     int
		want  time.Duration
	}{
		{[]time.Duration{7}, 50, 7},
		{[]time.Duration{7}, 99, 7},
		{[]time.Duration{9, 1, 5}, 50, 5},
		{[]time.Duration{9, 1}, 50, 1},
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 100, 100},
		{hundred[:99], 99, 100}, // 2 to 100: 98 of 99 are fewer than 99 %
	} {
		if got := percentile(test.times, test.p); got != test.want {
			t.Errorf("percentile %d of %d times is %d, want %d", test.p, len(test.times), got, test.want)
		}
	}
}

func TestUpdateFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("before\n"+beginMark+"\nold\n"+endMark+"\nbehind\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time, it stays as it is
		if err := updateFile(path, "new\n"); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if want := "before\n" + beginMark + "\nnew\n" + endMark + "\nbehind\n"; string(got) != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	}
}

func TestReplaceMarkedRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", beginMark, endMark, endMark + beginMark,
		beginMark + endMark + endMark, beginMark + beginMark + endMark, beginMark + endMark + beginMark,
	} {
		if got, err := replaceMarked(text, "new\n"); err == nil {
			t.Errorf("%q: no error, but %q", text, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	unmarked := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(unmarked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"", "-exporter"},
		{"-exporter x -run nonesuch", "destinations-short"},
		{"-exporter x -run [", "-run"},
		{"-exporter x -sip 0", "-sip"},
		{"-exporter x -memory 1ms", "-memory"},
		{"-exporter x -run five -update " + unmarked, "-run"},
		{"-exporter x -update " + unmarked, beginMark},
		{"-exporter x more", "more"},
	} {
		if _, err := parse(strings.Fields(test.args)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v does not name %s", test.args, err, test.want)
		}
	}
}
