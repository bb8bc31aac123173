//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// sippLog is from SIPp 3.6.1, the request of the second call repeated by hand.
const sippLog = `2026-11-23	09:10:08.942723	1795425008.942723	S	1-25912@127.0.0.1	CSeq:1 OPTIONS	OPTIONS sip:127.0.0.1:15979 SIP/2.0
2026-11-23	09:10:08.942927	1795425008.942927	R	1-25912@127.0.0.1	CSeq:1 OPTIONS	SIP/2.0 200 OK
2026-11-23	09:10:08.946305	1795425008.946305	S	2-25912@127.0.0.1	CSeq:1 OPTIONS	OPTIONS sip:127.0.0.1:15979 SIP/2.0
2026-11-23	09:10:08.946328	1795425008.946328	S	3-25912@127.0.0.1	CSeq:1 OPTIONS	OPTIONS sip:127.0.0.1:15979 SIP/2.0
2026-11-23	09:10:08.946399	1795425008.946399	R	3-25912@127.0.0.1	CSeq:1 OPTIONS	SIP/2.0 200 OK
2026-11-23	09:10:09.446305	1795425009.446305	S	2-25912@127.0.0.1	CSeq:1 OPTIONS	OPTIONS sip:127.0.0.1:15979 SIP/2.0
2026-11-23	09:10:09.446405	1795425009.446405	R	2-25912@127.0.0.1	CSeq:1 OPTIONS	SIP/2.0 200 OK
`

func TestAnswerTimes(t *testing.T) {
	t.Parallel()
	got, err := answerTimes(sippLog)
	if err != nil {
		t.Fatal(err)
	}
	want := []time.Duration{204 * time.Microsecond, 71 * time.Microsecond, 500100 * time.Microsecond}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAnswerTimesRefuses(t *testing.T) {
	t.Parallel()
	for name, log := range map[string]string{
		"an answer to nothing": strings.SplitAfterN(sippLog, "\n", 2)[1],
		"too few fields":       "2026-11-23\t09:10:08.942723\t1795425008.942723\n",
		"milliseconds":         strings.ReplaceAll(sippLog, "942723", "942"),
		"no number":            strings.ReplaceAll(sippLog, "1795425008.", "a."),
	} {
		if times, err := answerTimes(log); err == nil {
			t.Errorf("%s: no error, but %v", name, times)
		}
	}
}
