//go:build linux && !race

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/binrpc"
)

// maxMemory is the maximum memory of the exporter with any server, in bytes. It is less
// than the limit of the Kubernetes manifests.
const maxMemory = 150_000_000

const million = 1_000_000

// hostileReplies are replies to every method. Each has about the maximum number of values
// or bytes of a reply.
var hostileReplies = map[string]func() any{
	"a million values": func() any {
		reply := rpc.Members{}
		for range million - 10 {
			reply = append(reply, rpc.Member{Name: "a", Value: 1})
		}
		return reply
	},
	"a million different rows": func() any {
		reply := rpc.Members{}
		for i := range million - 10 {
			reply = append(reply, rpc.Member{Name: strconv.Itoa(i), Value: 1})
		}
		return reply
	},
	"16 MB of text":  func() any { return strings.Repeat("x", 16<<20-100) },
	"a URI of 16 MB": func() any { return dispatcherList("sip:"+strings.Repeat("x", 16<<20-4096), "sip:127.0.0.1") },
	"100,000 destinations": func() any {
		uris := make([]string, 100_000)
		for i := range uris {
			uris[i] = fmt.Sprintf("sip:%0100d", i)
		}
		return dispatcherList(uris...)
	},
	"a fault of 16 MB": func() any { return &rpc.Fault{Code: 500, Reason: strings.Repeat("x", 16<<20-100)} },
}

// dispatcherList returns a reply to dispatcher.list with these destinations.
func dispatcherList(uris ...string) rpc.Members {
	var targets rpc.Members
	for _, uri := range uris {
		targets = append(targets, rpc.Member{Name: "DEST", Value: rpc.Members{{Name: "URI", Value: uri}, {Name: "FLAGS", Value: "AP"}, {Name: "PRIORITY", Value: 1}}})
	}
	set := rpc.Members{{Name: "ID", Value: 1}, {Name: "TARGETS", Value: targets}}
	return rpc.Members{{Name: "NRSETS", Value: 1}, {Name: "RECORDS", Value: rpc.Members{{Name: "SET", Value: set}}}}
}

// largeTables are replies with a table of 100,000 rows, by method, in which each row has series of its own.
var largeTables = map[string]func() any{
	"permissions.domainDump": func() any {
		return rowsOf(func(i int) rpc.Members {
			item := rpc.Members{{Name: "domain_name", Value: fmt.Sprintf("host%d.example.com", i)}, {Name: "port", Value: 5060}, {Name: "tag", Value: "NULL"}}
			return rpc.Members{{Name: "table", Value: i % 128}, {Name: "group", Value: i}, {Name: "item", Value: item}}
		})
	},
	"lcr.dump_rules": func() any {
		rules := rowsOf(func(i int) rpc.Members {
			gateway := rpc.Members{{Name: "gw_index", Value: 1}, {Name: "priority", Value: 1}}
			return rpc.Members{{Value: rpc.Members{{Name: "lcr_id", Value: i}, {Name: "rule_id", Value: i}, {Name: "prefix", Value: strconv.Itoa(i)}, {Name: "gw", Value: []any{gateway}}}}}
		})
		return rpc.Members{{Name: "rule", Value: rules}, {Name: "prefix_len", Value: []any{1}}}
	},
}

// rowsOf returns a table of 100,000 rows.
func rowsOf(row func(i int) rpc.Members) rpc.Members {
	var table rpc.Members
	for i := range 100_000 {
		table = append(table, row(i)...)
	}
	return table
}

// methodNames returns the methods that a hostile server lists.
func methodNames() []any {
	var names []any
	for _, name := range collector.Methods() {
		names = append(names, name)
	}
	return names
}

// TestMemoryIsLimited has hostile servers reply to every method, and measures the memory of
// the exporter.
func TestMemoryIsLimited(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute; run without -short")
	}
	for name, reply := range hostileReplies {
		value := reply()
		t.Run(name+" by BINRPC", func(t *testing.T) { checkMemory(t, serveHostileBINRPC(t, value), everyMethod("tcp:")...) })
		t.Run(name+" by JSON-RPC", func(t *testing.T) { checkMemory(t, serveHostileJSONRPC(t, value), everyMethod("http:")...) })
	}
}

// TestMemoryOfTables has Kamailio reply with large tables, and measures the memory of the exporter.
func TestMemoryOfTables(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds; run without -short")
	}
	for method, reply := range largeTables {
		t.Run(method, func(t *testing.T) {
			page := checkMemory(t, serveHostileBINRPC(t, reply()), "-m", method)
			if want := fmt.Sprintf("kamailio_exporter_collector_success{collector=%q} 1\n", method); !strings.Contains(page, want) {
				t.Errorf("%s is missing", want)
			}
		})
	}
}

// everyMethod returns flags with which the exporter calls all methods that it can call at the URI.
func everyMethod(uri string) []string {
	var methods []string
	for _, c := range collector.All {
		if !c.BINRPCOnly || !strings.HasPrefix(uri, "http") {
			methods = append(methods, c.Method)
		}
	}
	return []string{
		"-m", strings.Join(methods, ","),
		"--kamailio.htable-keys", "a=>b", "--kamailio.dialog-profiles", "a", "--kamailio.shv", "a", "--kamailio.kafka-topics", "a",
		"--kamailio.stats-groups", "all",
	}
}

// checkMemory scrapes a target with an exporter, checks the exporter's memory, and returns the last page.
func checkMemory(t *testing.T, uri string, flags ...string) (page string) {
	t.Helper()
	cmd := command(context.WithoutCancel(t.Context()), append([]string{"-l", "127.0.0.1:0", "-u", uri, "-t", "1m"}, flags...)...)
	e := startCommand(t, cmd)
	for range 4 {
		response, body := e.get("/metrics")
		if response.StatusCode != http.StatusOK || len(body) > 32<<20 {
			t.Errorf("status %s, a page of %d bytes", response.Status, len(body))
		}
		page = string(body)
	}
	peak := memoryOf(t, cmd.Process.Pid, "VmHWM")
	t.Logf("peak %d MiB, now %d MiB", peak>>20, memoryOf(t, cmd.Process.Pid, "VmRSS")>>20)
	if peak > maxMemory {
		t.Errorf("the exporter used %d bytes, want at most %d", peak, maxMemory)
	}
	return page
}

// memoryOf returns the value of a line of /proc/PID/status, in bytes.
func memoryOf(t *testing.T, pid int, line string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?m)^` + line + `:\s+(\d+) kB$`).FindSubmatch(status)
	if match == nil {
		t.Fatalf("%s is missing in %s", line, status)
	}
	kib, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// anyCookie is a cookie of four bytes.
const anyCookie = 0xffffffff

// packet is an encoded reply whose cookie can be replaced.
type packet struct{ beforeCookie, afterCookie []byte }

func newPacket(t *testing.T, records ...any) packet {
	t.Helper()
	var encoded []byte
	var err error
	if fault, ok := records[0].(*rpc.Fault); ok {
		encoded, err = binrpc.AppendFault(nil, anyCookie, fault)
	} else {
		encoded, err = binrpc.AppendReply(nil, anyCookie, records...)
	}
	if err != nil {
		t.Fatal(err)
	}
	at := 2 + int(encoded[1]>>2&3) + 1 // after the length of the payload
	return packet{encoded[:at:at], encoded[at+4:]}
}

func (p packet) writeTo(w io.Writer, cookie uint32) error {
	if _, err := w.Write(binary.BigEndian.AppendUint32(p.beforeCookie, cookie)); err != nil {
		return err
	}
	_, err := w.Write(p.afterCookie)
	return err
}

// serveHostileBINRPC starts a server that replies with the value to every method except
// system.listMethods, and returns its URI.
func serveHostileBINRPC(t *testing.T, value any) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	list, reply := newPacket(t, methodNames()...), newPacket(t, value)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go replyOn(conn, list, reply)
		}
	}()
	return "tcp://" + listener.Addr().String()
}

// replyOn replies to the calls on a connection, with list to system.listMethods and with reply to all others.
func replyOn(conn net.Conn, list, reply packet) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		message, err := binrpc.Read(r, rpc.Limits{})
		if err != nil {
			return
		}
		call, err := message.Call()
		if err != nil {
			return
		}
		p := reply
		if call.Method == "system.listMethods" {
			p = list
		}
		if err := p.writeTo(conn, message.Cookie); err != nil {
			return
		}
	}
}

// serveHostileJSONRPC is like serveHostileBINRPC over HTTP.
func serveHostileJSONRPC(t *testing.T, value any) string {
	t.Helper()
	list, err := json.Marshal(methodNames())
	if err != nil {
		t.Fatal(err)
	}
	member, text := "result", []byte(nil)
	if fault, ok := value.(*rpc.Fault); ok {
		member = "error"
		text, err = json.Marshal(map[string]any{"code": fault.Code, "message": fault.Reason})
	} else {
		tree, valueErr := rpc.ValueOf(value)
		if valueErr != nil {
			t.Fatal(valueErr)
		}
		text, err = tree.MarshalJSON()
	}
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			Method string `json:"method"`
			ID     uint64 `json:"id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			return
		}
		if request.Method == "system.listMethods" {
			_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0","result":%s,"id":%d}`, list, request.ID)
			return
		}
		_, _ = fmt.Fprintf(w, `{"jsonrpc":"2.0",%q:`, member)
		_, _ = w.Write(text)
		_, _ = fmt.Fprintf(w, `,"id":%d}`, request.ID)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/RPC"
}
