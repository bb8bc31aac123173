package web

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// limitedServer serves with at most so many connections, on a listener that has what TLS needs if encrypted.
func limitedServer(t *testing.T, most int, encrypted bool, handler http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	// What httptest hooks into, it hooks into on top.
	limitConnections(server.Config, most)
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

// TestIdleConnectionsMakeRoom opens many more connections than there may be, and sends nothing, or the beginning of a
// request. The oldest are closed, and whoever has a request is answered, with and without TLS.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	const most = 4
	for name, encrypted := range map[string]bool{"http": false, "https": true} {
		for _, beginning := range []string{"", "GET / HTTP/1.1\r\n"} {
			t.Run(name+" "+beginning, func(t *testing.T) {
				server := limitedServer(t, most, encrypted, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") }))
				var conns []net.Conn
				for range 5 * most {
					conn := connect(t, server)
					if _, err := io.WriteString(conn, beginning); err != nil {
						t.Fatal(err)
					}
					conns = append(conns, conn)
				}
				if status, body := get(t, server.Client(), server.URL); status != http.StatusOK || body != "page" {
					t.Errorf("status %d, %s", status, body)
				}
				for _, conn := range conns[:len(conns)-most] {
					_, _ = io.Copy(io.Discard, conn) // to its end
				}
			})
		}
	}
}

// TestConnectionsWithARequestStay has as many connections as there may be wait for an answer. Others are closed, and these
// get their answer.
func TestConnectionsWithARequestStay(t *testing.T) {
	const most = 2
	asked, answer := make(chan struct{}, most), make(chan struct{})
	server := limitedServer(t, most, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-answer
		_, _ = io.WriteString(w, "page")
	}))
	statuses := make(chan int, most)
	for range most {
		go func() {
			response, err := http.Get(server.URL) //nolint:noctx // it is answered
			if err != nil {
				statuses <- 0
				return
			}
			response.Body.Close()
			statuses <- response.StatusCode
		}()
	}
	for range most {
		<-asked
	}
	for range 3 {
		_, _ = io.Copy(io.Discard, connect(t, server)) // is closed at once
	}
	close(answer)
	for range most {
		if status := <-statuses; status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	}
	// There is room again.
	if status, _ := get(t, server.Client(), server.URL); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}

func TestMostConnections(t *testing.T) {
	if most := maxConnections(); most < 1 || most > mostConnections {
		t.Errorf("%d connections", most)
	}
}
