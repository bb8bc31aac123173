package web

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

// limitedServer starts a server with at most limit connections, with TLS if encrypted.
func limitedServer(t *testing.T, limit int, encrypted bool, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	limitConnections(server.Config, func() int { return limit }) // httptest calls these hooks from its own
	server.EnableHTTP2 = encrypted
	if encrypted {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

func connect(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestOldestIdleConnectionsAreClosed opens many more connections than allowed, and sends nothing or the beginning of a
// request. The oldest ones are closed, and a request of another client is answered.
func TestOldestIdleConnectionsAreClosed(t *testing.T) {
	const limit = 4
	for name, encrypted := range map[string]bool{"http": false, "https": true} {
		for _, beginning := range []string{"", "GET / HTTP/1.1\r\n"} {
			t.Run(name+" "+beginning, func(t *testing.T) {
				server := limitedServer(t, limit, encrypted, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
				var conns []net.Conn
				for range 5 * limit {
					conn := connect(t, server)
					if _, err := io.WriteString(conn, beginning); err != nil {
						t.Fatal(err)
					}
					conns = append(conns, conn)
				}
				if status, body := get(t, server.Client(), server.URL); status != http.StatusOK || body != "page" {
					t.Errorf("status %d, %s", status, body)
				}
				for _, conn := range conns[:len(conns)-limit] {
					_, _ = io.Copy(io.Discard, conn) // until the server closes it
				}
			})
		}
	}
}

// TestConnectionsWithARequestAreNotClosed has the maximum number of connections wait for a response. Other connections are
// closed.
func TestConnectionsWithARequestAreNotClosed(t *testing.T) {
	const limit = 2
	asked, answer := make(chan struct{}, limit), make(chan struct{})
	server := limitedServer(t, limit, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, "page")
	}))
	statuses := make(chan int, limit)
	for range limit {
		go func() {
			response, err := http.Get(server.URL) //nolint:noctx // the server is in this process
			if err != nil {
				statuses <- 0
				return
			}
			response.Body.Close()
			statuses <- response.StatusCode
		}()
	}
	for range limit {
		<-asked
	}
	for range 3 {
		_, _ = io.Copy(io.Discard, connect(t, server)) // until the server closes it
	}
	close(answer)
	for range limit {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	// A new connection is allowed again.
	if status, _ := get(t, server.Client(), server.URL); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestMaxConnections(t *testing.T) {
	if limit := maxConnections(connectionsCap); limit < 1 || limit > connectionsCap {
		t.Errorf("%d connections, want 1 to %d", limit, connectionsCap)
	}
}

// TestLimitOfConnectionsChanges raises the limit, as a reload with more targets does. No connection is closed then.
func TestLimitOfConnectionsChanges(t *testing.T) {
	var limit atomic.Int32
	limit.Store(1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
	limitConnections(server.Config, func() int { return int(limit.Load()) })
	server.Start()
	defer server.Close()
	var conns []net.Conn
	for range 3 {
		conns = append(conns, connect(t, server))
		for _, conn := range conns {
			if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("%d connections: %v", len(conns), err)
			}
			_ = response.Body.Close()
		}
		limit.Add(1)
	}
}
