package binrpc

import (
	"fmt"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/rpc"
)

// benchmarkPackets are replies of three sizes: 0.2, 6 and 1,070 KB.
func benchmarkPackets(b *testing.B) map[string][]byte {
	b.Helper()
	packets := map[string][]byte{"dispatcher.list": manyDestinations(b, 4000)}
	for _, capture := range captures(b) {
		switch capture.name {
		case "6.0.1/tm.stats":
			packets["tm.stats"] = capture.packet
		case "6.0.1/stats.fetch_all":
			packets["stats.fetch"] = capture.packet
		}
	}
	return packets
}

// manyDestinations is a reply of dispatcher.list, as Kamailio 5.6 gives it.
func manyDestinations(t testing.TB, n int) []byte {
	t.Helper()
	var sets rpc.Members
	for len(sets) < n/50 {
		var destinations rpc.Members
		for i := range 50 {
			destinations = append(destinations, rpc.Member{Name: "DEST", Value: rpc.Members{
				{Name: "URI", Value: fmt.Sprintf("sip:10.%d.%d.1:5060;transport=udp", len(sets), i)},
				{Name: "FLAGS", Value: "AP"},
				{Name: "PRIORITY", Value: i},
				{Name: "ATTRS", Value: rpc.Members{
					{Name: "BODY", Value: fmt.Sprintf("duid=destination-%d-%d;weight=50;socket=udp:127.0.0.1:5060", len(sets), i)},
					{Name: "DUID", Value: fmt.Sprintf("destination-%d-%d", len(sets), i)},
					{Name: "MAXLOAD", Value: 0},
					{Name: "WEIGHT", Value: 50},
					{Name: "RWEIGHT", Value: 0},
					{Name: "SOCKET", Value: "udp:127.0.0.1:5060"},
					{Name: "SOCKNAME", Value: ""},
					{Name: "OBPROXY", Value: ""},
				}},
			}})
		}
		sets = append(sets, rpc.Member{Name: "SET", Value: rpc.Members{{Name: "ID", Value: len(sets)}, {Name: "TARGETS", Value: destinations}}})
	}
	return reply(t, 1, rpc.Members{{Name: "NRSETS", Value: len(sets)}, {Name: "RECORDS", Value: sets}})
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

// readAll reads every value and name, and returns how much there is of them.
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
