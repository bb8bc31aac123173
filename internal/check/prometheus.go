package check

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/config"
)

const (
	// usualInterval is the scrape interval of jobs whose scrapes take no longer than usualTimeout, which is Prometheus' default.
	usualInterval = 15 * time.Second
	usualTimeout  = 10 * time.Second
	// slowInterval is the scrape interval of other jobs, if their scrapes take no longer.
	slowInterval = time.Minute
)

// prometheusSection has a configuration of Prometheus. It is for the targets of the configuration, some of which were checked.
func prometheusSection(cfg *config.Config) section {
	s := section{title: "Configuration of Prometheus"}
	p := newPages(cfg.Web)
	var b strings.Builder
	var left []string // modules without a job
	b.WriteString("scrape_configs:\n")
	if len(cfg.Targets) > 0 {
		p.writeJob(&b, job{name: "kamailio", discovers: true, timeout: longest(cfg.Targets, func(t *config.Target) *config.Module { return t.Modules[0] })})
		common, others := commonModules(cfg.Targets)
		left = others
		for _, module := range common {
			p.writeJob(&b, job{name: "kamailio-" + module, module: module, discovers: true,
				timeout: longest(cfg.Targets, func(t *config.Target) *config.Module { return t.Module(module) })})
		}
	}
	own := job{name: "kamailio-exporter"}
	if cfg.Target != nil {
		own.timeout = cfg.Target.Modules[0].Timeout
	}
	if len(cfg.Targets) == 0 {
		own.name = "kamailio"
	}
	p.writeJob(&b, own)
	s.addLines(copied, b.String())
	if len(left) > 0 {
		s.add(note, "There is no job for these modules, because not all targets have them: "+strings.Join(left, ", "))
	}
	if p.local {
		s.add(note, "If Prometheus runs on another host, replace localhost by the name of this host.")
	}
	if len(p.users) > 0 || p.ownCA {
		s.add(note, "The files in it are examples: they are on the host of Prometheus.")
	}
	return s
}

// longest returns the longest timeout of the modules of targets.
func longest(targets []*config.Target, of func(*config.Target) *config.Module) time.Duration {
	var timeout time.Duration
	for _, target := range targets {
		timeout = max(timeout, of(target).Timeout)
	}
	return timeout
}

// commonModules returns the names of the modules, except the first ones, that all targets have, in the order of the first target, and
// the names of those that only some targets have. A target without the module of a job has no page in it.
func commonModules(targets []*config.Target) (common, others []string) {
	for _, target := range targets {
		for _, module := range target.Modules[1:] {
			isMissing := func(t *config.Target) bool { return t.Module(module.Name) == nil }
			switch {
			case slices.Contains(common, module.Name), slices.Contains(others, module.Name):
			case slices.ContainsFunc(targets, isMissing):
				others = append(others, module.Name)
			default:
				common = append(common, module.Name)
			}
		}
	}
	return common, others
}

// pages says where Prometheus finds the exporter's pages.
type pages struct {
	scheme, host, prefix, telemetryPath string
	local                               bool // host is localhost
	ownCA                               bool // the certificate is that of --web.config.file
	users                               []string
}

// newPages returns where the pages are: at the external URL, or at the first address to listen on.
func newPages(web config.Web) pages {
	p := pages{scheme: "http", prefix: web.RoutePrefix, telemetryPath: web.TelemetryPath, users: web.Users}
	if web.TLS {
		p.scheme = "https"
	}
	if external := web.ExternalURL; external != nil {
		p.prefix = cmp.Or(strings.TrimRight(external.Path, "/"), p.prefix)
		if external.Host != "" {
			p.scheme, p.host = external.Scheme, external.Host
			return p
		}
	}
	p.ownCA = web.TLS
	p.host, p.local = listenHost(*web.Listen.WebListenAddresses)
	return p
}

// listenHost returns the address at which the exporter can be reached if it listens on these. local reports whether it listens on all
// addresses of this host, or on none of TCP, so that the address is only valid on this host.
func listenHost(addresses []string) (address string, local bool) {
	port := "9494"
	for _, listen := range addresses {
		host, listenPort, err := net.SplitHostPort(listen)
		if err != nil || strings.HasPrefix(listen, "vsock:") {
			continue
		}
		port = listenPort
		addr, err := netip.ParseAddr(host)
		if host != "" && (err != nil || !addr.IsUnspecified()) {
			return listen, false
		}
		break
	}
	return net.JoinHostPort("localhost", port), true
}

// job is a job of Prometheus.
type job struct {
	name      string
	module    string // "" for the default of each target
	discovers bool   // reads the targets from /sd
	timeout   time.Duration
}

// writeJob writes a job.
func (p pages) writeJob(b *strings.Builder, j job) {
	line := func(format string, args ...any) { fmt.Fprintf(b, "    "+format+"\n", args...) }
	fmt.Fprintf(b, "  - job_name: %s\n", j.name)
	if j.timeout > usualTimeout {
		line("scrape_interval: %s", inSeconds(max(slowInterval, j.timeout)))
		line("scrape_timeout: %s", inSeconds(j.timeout))
	} else {
		line("scrape_interval: %s", inSeconds(usualInterval))
	}
	if path := p.prefix + p.telemetryPath; !j.discovers && path != "/metrics" {
		line("metrics_path: %q", path)
	}
	if p.scheme == "https" && !j.discovers {
		line("scheme: https")
	}
	if j.module != "" {
		line("params:")
		line("  module: [%s]", j.module)
	}
	p.writeAccess(b, "    ")
	if !j.discovers {
		line("static_configs:")
		line("  - targets: [%q]", p.host)
		return
	}
	line("http_sd_configs:")
	line("  - url: %q", p.scheme+"://"+p.host+p.prefix+"/sd")
	line("    refresh_interval: 30s")
	p.writeAccess(b, "        ")
}

// writeAccess writes the settings of TLS and of the password, if the pages need them.
func (p pages) writeAccess(b *strings.Builder, indent string) {
	if len(p.users) > 0 {
		fmt.Fprintf(b, "%[1]sbasic_auth:\n%[1]s  username: %[2]q\n%[1]s  password_file: /etc/prometheus/kamailio_exporter.password\n", indent, p.users[0])
	}
	if p.ownCA {
		fmt.Fprintf(b, "%[1]stls_config:\n%[1]s  ca_file: /etc/prometheus/kamailio_exporter_ca.pem\n", indent)
	}
}

// inSeconds returns a time in whole seconds, rounded up.
func inSeconds(d time.Duration) string { return fmt.Sprintf("%ds", (d+time.Second-1)/time.Second) }
