package binrpc

import (
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// benchmarkPackets returns replies of three sizes: 0.2, 6 and 960 KB.
func benchmarkPackets(tb testing.TB) map[string][]byte {
	tb.Helper()
	packets := map[string][]byte{}
	for _, capture := range captures(tb) {
		switch capture.name {
		case "6.0.1/tm.stats":
			packets["tm.stats"] = capture.packet
		case "6.0.1/stats.fetch_all":
			packets["stats.fetch"] = capture.packet
		case "6.0.1/dispatcher.list":
			packets["dispatcher.list"] = manyDestinations(tb, capture.packet, 4000)
		}
	}
	return packets
}

// manyDestinations returns a reply to dispatcher.list with one set, which contains n
// copies of a captured destination.
func manyDestinations(tb testing.TB, packet []byte, n int) []byte {
	tb.Helper()
	message, err := Parse(packet, rpc.Limits{})
	if err != nil {
		tb.Fatal(err)
	}
	destination := rpc.Member{Name: "DEST", Value: message.Value.Get("RECORDS").Get("SET").Get("TARGETS").Get("DEST").Interface()}
	targets := make(rpc.Members, n)
	for i := range targets {
		targets[i] = destination
	}
	set := rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: targets}}
	return reply(tb, 1, rpc.Members{{Name: "NRSETS", Value: 1}, {Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: set}}}})
}

func BenchmarkParse(b *testing.B) {
	for name, packet := range benchmarkPackets(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(packet)))
			for b.Loop() {
				if _, err := Parse(packet, rpc.Limits{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestParseAllocations shows that Parse makes at most three allocations, however large the reply is.
func TestParseAllocations(t *testing.T) {
	for name, packet := range benchmarkPackets(t) {
		if n := testing.AllocsPerRun(10, func() { _, _ = Parse(packet, rpc.Limits{}) }); n > 3 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// BenchmarkParseAndRead also reads every value once, as a collector does.
func BenchmarkParseAndRead(b *testing.B) {
	for name, packet := range benchmarkPackets(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(packet)))
			for b.Loop() {
				message, err := Parse(packet, rpc.Limits{})
				if err != nil {
					b.Fatal(err)
				}
				if readAll(message.Value) == 0 {
					b.Fatal("nothing was read")
				}
			}
		})
	}
}

// readAll reads all values and names, and returns a number that depends on them.
func readAll(v rpc.Value) int {
	n := len(v.Name()) + len(v.Text()) + 1
	if _, ok := v.Float(); ok {
		n++
	}
	for member := range v.All() {
		n += readAll(member)
	}
	return n
}

func BenchmarkAppendRequest(b *testing.B) {
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		var err error
		if buf, err = AppendRequest(buf[:0], 7, rpc.Call{Method: "stats.fetch", Args: []any{"all"}}); err != nil {
			b.Fatal(err)
		}
	}
}
