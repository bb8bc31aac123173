package scrape

import (
	"context"
	"crypto/x509"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/version"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/sipprobe"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc/dial"
)

// sipSource probes the SIP sockets of a target.
type sipSource struct {
	client   Client
	uri      dial.Target
	auto     bool // the sockets are those that Kamailio lists
	settings sipSettings
	prober   *sipprobe.Prober
	latest   *latestProbes
	hosts    func(ctx context.Context, uri dial.Target) []netip.Addr // returns the addresses that auto may probe

	mu      sync.Mutex
	sockets []sipprobe.Socket // to probe; nil if they are not known yet
	left    int               // number of sockets that Kamailio listed and that are not probed
}

// newSIPSource returns the source for a module of a target, nil if there are no sockets to probe. latest is that of the target.
func newSIPSource(client Client, cfg *config.Target, module *config.Module, latest *latestProbes) *sipSource {
	sip := module.SIP
	if sip == nil {
		return nil
	}
	s := &sipSource{client: client, uri: cfg.URI, auto: sip.Auto, latest: latest, hosts: ownAddresses, sockets: sip.Sockets}
	s.settings = sipSettings{timeout: min(sip.Timeout, budget(module.Timeout)), ca: sip.CA, serverName: sip.ServerName}
	if len(cfg.SIPSockets) > 0 {
		s.auto, s.sockets = false, cfg.SIPSockets
	}
	options := sipprobe.Options{UserAgent: "kamailio_exporter/" + version.Version, ServerName: sip.ServerName}
	if sip.CA != "" {
		options.RootCAs = x509.NewCertPool()
		options.RootCAs.AppendCertsFromPEM([]byte(sip.CA)) // config has checked it
	}
	s.prober = sipprobe.New(options)
	return s
}

// Begin implements Source.
func (s *sipSource) Begin(only []string) Fetch {
	if len(only) > 0 {
		return nil
	}
	return &sipFetch{sipSource: s}
}

// Close implements Source.
func (s *sipSource) Close() error { return s.prober.Close() }

// sipFetch probes the sockets once.
type sipFetch struct {
	*sipSource

	mu      sync.Mutex
	result  sipResult
	changes int
}

// Run implements Fetch. The sockets are probed at the same time. With auto, the first poll asks Kamailio for its sockets first;
// later polls ask meanwhile, for the next poll.
func (f *sipFetch) Run(ctx context.Context) {
	known := f.known()
	if known == nil {
		f.list(ctx)
		known = f.known()
	}
	var running sync.WaitGroup
	if f.auto && known != nil {
		running.Go(func() { f.list(ctx) })
	}
	f.prober.Keep(known)
	for _, socket := range known {
		running.Go(func() {
			if result, ok := f.probe(ctx, socket); ok {
				f.add(result)
			}
		})
	}
	running.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.over = true
	f.result.left = f.leftOut()
	f.changes++
}

// Result implements Fetch.
func (f *sipFetch) Result() (result Result, changes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.result
	r.probes = slices.Clone(r.probes)
	return r, f.changes
}

// add adds the result of a probe.
func (f *sipFetch) add(result sipprobe.Result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result.probes = append(f.result.probes, result)
	f.changes++
}

// known returns the sockets to probe, nil if they are not known yet.
func (s *sipSource) known() []sipprobe.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets
}

// leftOut returns the number of sockets that Kamailio listed and that are not probed.
func (s *sipSource) leftOut() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left
}

// probe probes a socket. If that was done less than minSIPInterval ago, it returns the result of that probe if it had the same
// settings; otherwise it waits first. ok is false if ctx is done before the probe begins.
func (s *sipSource) probe(ctx context.Context, socket sipprobe.Socket) (result sipprobe.Result, ok bool) {
	latest := s.latest.get(socket)
	if wait := time.Until(latest.begun.Add(minSIPInterval)); wait > 0 {
		if latest.settings == s.settings {
			return latest.result, true
		}
		select {
		case <-ctx.Done():
			return sipprobe.Result{}, false
		case <-time.After(wait):
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.settings.timeout)
	defer cancel()
	begun := time.Now()
	result = s.prober.Probe(ctx, socket)
	s.latest.set(socket, timedProbe{begun, s.settings, result})
	return result, true
}

// list asks Kamailio for its sockets. If it does not reply, or the addresses of its host are not known because DNS fails, the
// sockets last known stay.
func (s *sipSource) list(ctx context.Context) {
	var reply rpc.Reply
	for _, r := range s.client.Stream(ctx, rpc.Call{Method: "core.sockets_list", Idempotent: true}) {
		reply = r
	}
	if reply.Err != nil || !reply.Value.Exists() {
		return
	}
	allowed := s.hosts(ctx, s.uri)
	if len(allowed) == 0 && s.known() != nil {
		return
	}
	sockets, left := listedSockets(reply.Value, allowed)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets, s.left = sockets, left
}

// listedSockets returns the sockets of core.sockets_list whose addresses are allowed, and the number of the others. WebSocket and
// SCTP sockets are neither.
func listedSockets(list rpc.Value, allowed []netip.Addr) (sockets []sipprobe.Socket, left int) {
	sockets = []sipprobe.Socket{}
	for listed := range list.Named("socket") {
		transport := strings.ToLower(listed.Get("proto").Text())
		if transport != "udp" && transport != "tcp" && transport != "tls" {
			continue
		}
		addr, err := netip.ParseAddr(strings.Trim(listed.Get("address").Text(), "[]"))
		port, portErr := strconv.Atoi(listed.Get("port").Text())
		addr = addr.Unmap()
		socket := sipprobe.Socket{Transport: transport, Host: addr.String(), Port: port}
		switch {
		case slices.Contains(sockets, socket):
		case err != nil || portErr != nil || port < 1 || port > 65535 || !slices.Contains(allowed, addr) || len(sockets) == config.MaxSIPSockets:
			left++
		default:
			sockets = append(sockets, socket)
		}
	}
	return sockets, left
}

// SIPSockets returns the SIP sockets that auto would probe for a target, given the reply to core.sockets_list, and the number of the
// others. It resolves the name of the target's host.
func SIPSockets(ctx context.Context, uri dial.Target, list rpc.Value) (sockets []sipprobe.Socket, left int) {
	return listedSockets(list, ownAddresses(ctx, uri))
}

// ownAddresses returns the addresses of the host of a target: those of this host for a unix socket, otherwise those of the host
// in the URI. A server can therefore not aim the probes at another host.
func ownAddresses(ctx context.Context, uri dial.Target) []netip.Addr {
	host := hostOf(uri)
	if host == "" {
		return localAddresses()
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr.Unmap()}
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs
}

// hostOf returns the host of a URI, "" for a path.
func hostOf(uri dial.Target) string {
	switch uri.Network {
	case "unix", "unixgram":
		return ""
	case "http":
		u, err := url.Parse(uri.Address)
		if err != nil {
			return "invalid." // dial.ParseTarget has checked the URL; no host has this name (RFC 6761)
		}
		return u.Hostname()
	default:
		host, _, _ := net.SplitHostPort(uri.Address)
		return host
	}
}

// localAddresses returns the addresses of this host.
func localAddresses() []netip.Addr {
	var addrs []netip.Addr
	all, _ := net.InterfaceAddrs() // without addresses, no socket is probed
	for _, addr := range all {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil {
			addrs = append(addrs, prefix.Addr().Unmap())
		}
	}
	return addrs
}
