package web

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// mostConnections is how many connections are open at most, however many file
// descriptors there are: each takes some 20 KB.
const mostConnections = 512

// A connectionLimit keeps the connections of a server from taking all file
// descriptors. For one too many, the connection that has been without a request for
// longest is closed, so that clients which ask for nothing do not keep others out. It
// may be used concurrently.
type connectionLimit struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*connection
}

type connection struct {
	net.Conn
	requests int       // that are being answered, guarded by connectionLimit.mu
	idle     time.Time // since when there is none
}

type connectionKey struct{}

// LimitConnections has a server, before it serves, keep at most half as many connections
// as the process may have files open, and at most 512.
func LimitConnections(server *http.Server) { limitConnections(server, maxConnections()) }

func limitConnections(server *http.Server, most int) {
	limit := &connectionLimit{most: most, open: map[net.Conn]*connection{}}
	server.ConnContext = limit.opened
	server.ConnState = limit.changed
	server.Handler = limit.handler(server.Handler)
}

// opened notes a new connection, and closes an idle one if there are too many, or the
// new one if none is idle.
func (l *connectionLimit) opened(ctx context.Context, conn net.Conn) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most && !l.closeIdle() {
		_ = closeNow(conn)
		return ctx
	}
	c := &connection{Conn: conn, idle: time.Now()}
	l.open[conn] = c
	return context.WithValue(ctx, connectionKey{}, c)
}

// closeIdle closes the connection that has been idle for longest, and returns false if
// none is idle. The caller holds mu.
func (l *connectionLimit) closeIdle() bool {
	var oldest *connection
	for _, c := range l.open {
		if c.requests == 0 && (oldest == nil || c.idle.Before(oldest.idle)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	delete(l.open, oldest.Conn)
	_ = closeNow(oldest.Conn)
	return true
}

// closeNow closes a connection without the farewell of TLS, which can wait for a client.
func closeNow(conn net.Conn) error {
	if encrypted, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = encrypted.NetConn()
	}
	return conn.Close()
}

func (l *connectionLimit) changed(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

// handler notes which connections have a request.
func (l *connectionLimit) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			l.busy(c, 1)
			defer l.busy(c, -1)
		}
		next.ServeHTTP(w, r)
	})
}

func (l *connectionLimit) busy(c *connection, requests int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.requests += requests
	c.idle = time.Now()
}
