package rpc_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// FuzzDecode checks that each value that a server can send is decoded into Go values or
// returns an error, becomes valid JSON, and does not change when it is converted to Go
// values and back.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("binrpc/testdata/captures/*/*.binrpc")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no captures: %v", err)
	}
	for _, path := range paths {
		packet, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packet)
	}
	f.Fuzz(func(t *testing.T, packet []byte) {
		message, err := binrpc.Parse(packet, rpc.Limits{Values: 10_000})
		if err != nil {
			return
		}
		for _, dst := range decodeTargets() {
			_ = message.Value.Decode(dst)
		}
		if got, want := plainScalars(message.Value.Plain()), scalars(message.Value); got != want {
			t.Fatalf("the plain form has %d of the %d values of %s", got, want, message.Value)
		}
		text, err := json.Marshal(message.Value)
		if err != nil || !json.Valid([]byte(message.Value.String())) {
			t.Fatalf("invalid JSON: %v, %s", err, message.Value)
		}
		again, err := rpc.ValueOf(message.Value.Interface())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := json.Marshal(again); err != nil || string(got) != string(text) {
			t.Fatalf("converted back: got %s, %v; want %s", got, err, text)
		}
	})
}

// decodeTargets returns pointers to variables of various Go types, some of which are
// similar to real replies.
func decodeTargets() []any {
	type tree struct {
		Name     string `rpc:"name"`
		Children []tree `rpc:"a"`
		Any      any
		Raw      rpc.Value
		Small    uint8   `rpc:"size"`
		Large    *uint64 `rpc:"used"`
		List     [][]string
	}
	type dispatcher struct {
		Count   int `rpc:"NRSETS"`
		Records []struct {
			Sets []struct {
				ID      int `rpc:"ID"`
				Targets struct {
					Dest []map[string]rpc.Value `rpc:"DEST"`
				} `rpc:"TARGETS"`
			} `rpc:"SET"`
		} `rpc:"RECORDS"`
	}
	return []any{
		new(any), new(tree), new([]tree), new(dispatcher), new(map[string]any), new(map[string][]float64),
		new([]map[string]string), new([]string), new(string), new([]byte), new(int8), new(uint32), new(float32), new(bool), new(rpc.Value),
	}
}

// FuzzEncode checks that a value does not change when it is encoded and decoded.
func FuzzEncode(f *testing.F) {
	type value struct {
		Bool   bool
		Int    int64             `rpc:"int"`
		Small  int8              `rpc:"small"`
		Uint   uint32            `rpc:"uint"`
		Float  float64           `rpc:"float"`
		Text   string            `rpc:"text"`
		Raw    []byte            `rpc:"raw"`
		Number *int              `rpc:"number"`
		Rows   []value           `rpc:"rows"`
		Lists  [][]string        `rpc:"lists"`
		Map    map[string][]int  `rpc:"map"`
		Inside map[string]*value `rpc:"inside"`
	}
	f.Add([]byte(`{"Bool":true,"Int":-1,"Small":-128,"Uint":4294967295,"Float":1e300,"Text":"a","Raw":"AAE=","Number":7}`))
	f.Add([]byte(`{"Rows":[{"Text":"only"}],"Lists":[["a"]],"Map":{"":[1],"b":[]},"Inside":{"x":null,"y":{"Rows":[]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var want, got value
		if json.Unmarshal(text, &want) != nil {
			return
		}
		v, err := rpc.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Decode(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}
