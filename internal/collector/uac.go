package collector

import (
	"math"
	"slices"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/metric"
	"github.com/kamailio-exporter/kamailio_exporter/v3/rpc"
)

// Source of the fields: Kamailio's src/modules/uac/uac_reg.c; the same in 5.6
// and 6.0. The reply contains passwords, in auth_password and auth_ha1. Only
// the fields named here are read.

// registrationMetric returns a family with the labels that identify and describe a
// registration.
func registrationMetric(name, help string) *metric.Desc {
	return gauge("kamailio_uac_registration_"+name, help, "l_uuid", "r_domain", "r_username")
}

var (
	registrationUp = registrationMetric("up",
		"1 if Kamailio is registered and the registration has not expired, 0 if not. It is 0 while the registration is renewed. "+
			"Fields flags and diff_expires of uac.reg_dump.")
	registrationDisabled = registrationMetric("disabled",
		"1 if Kamailio does not try to register, because of an RPC command or a failure without retry, 0 if it does. "+
			"Field flags of uac.reg_dump.")
	registrationRemaining = registrationMetric("remaining_seconds",
		"Seconds until the registration expires. Absent while Kamailio is not registered. Field diff_expires of uac.reg_dump.")
	registrationInfo = gauge("kamailio_uac_registration_info",
		"Always 1. The labels describe the registration. Fields of the same names of uac.reg_dump.",
		registrationLabels...)
	registrations = gauge("kamailio_uac_registrations",
		"Number of registrations, by state. State ongoing means that Kamailio waits for a reply. Fields flags and diff_expires of uac.reg_dump.",
		"state")
)

// longestRegistration is longer than any registration lasts, in seconds.
const longestRegistration = 366 * 24 * 3600

var registrationLabels = []string{"l_domain", "l_username", "l_uuid", "r_domain", "r_username", "realm", "socket"}

// Bits of the field flags. Other bits are not used.
const (
	registrationFlagDisabled = 1 << iota
	registrationFlagOngoing
	registrationFlagOnline
)

// States of a registration, as in uac_reg_status.
const (
	registrationStateDisabled     = "disabled"
	registrationStateOngoing      = "ongoing"
	registrationStateRegistered   = "registered"
	registrationStateUnregistered = "unregistered"
)

var registrationStates = []string{
	registrationStateDisabled, registrationStateOngoing, registrationStateRegistered, registrationStateUnregistered,
}

var uacRegDump = &Collector{
	Method: "uac.reg_dump",
	Module: "uac",
	Help: "registrations of Kamailio at other servers, up to 4 series for each registration and 4 in total. The short " +
		"form has only the 4 in total",
	Auto:    true,
	Large:   true,
	Short:   true,
	Metrics: []*metric.Desc{registrationUp, registrationDisabled, registrationRemaining, registrationInfo, registrations},
	noRows:  "Not enabled", // the module is loaded for other functions
	collect: func(out *metric.Writer, settings Settings, replies []Reply) {
		short := slices.Contains(settings.Short, "uac.reg_dump")
		for _, reply := range replies {
			collectRegistrations(out, short, reply.Value)
		}
	},
}

// collectRegistrations adds the number of registrations in each state and, unless
// short, the series of each registration. A state has 0 only if all registrations
// could be read.
func collectRegistrations(out *metric.Writer, short bool, all rpc.Value) {
	count, complete := map[string]float64{}, all.Kind() >= rpc.KindInt
	for registration := range all.Rows() {
		state, ok := collectRegistration(out, short, registration)
		if !ok {
			complete = false
			continue
		}
		count[state]++
	}
	for _, state := range registrationStates {
		if count[state] > 0 || complete {
			out.Add(registrations, count[state], state)
		}
	}
}

// collectRegistration returns the state of a registration, or false if it is
// unknown. Unless short, it adds the registration's series.
func collectRegistration(out *metric.Writer, short bool, registration rpc.Value) (string, bool) {
	uuid, ok := keys(out, registration, "l_uuid")
	if !ok {
		return "", false
	}
	if !short {
		addRegistrationInfo(out, registration)
	}
	flags, ok := registrationFlags(out, registration)
	if !ok {
		return "", false
	}
	state := registrationState(flags, registration)
	if short {
		return state, true
	}
	labels := []string{uuid[0], registration.Get("r_domain").Text(), registration.Get("r_username").Text()}
	out.Add(registrationUp, is(state == registrationStateRegistered), labels...)
	out.Add(registrationDisabled, is(flags&registrationFlagDisabled != 0), labels...)
	if flags&registrationFlagOnline != 0 {
		// If it is not online, diff_expires is the time until the next attempt, or
		// meaningless.
		addRemaining(out, registration.Get("diff_expires"), labels)
	}
	return state, true
}

func addRegistrationInfo(out *metric.Writer, registration rpc.Value) {
	info := make([]string, len(registrationLabels))
	for i, name := range registrationLabels {
		info[i] = registration.Get(name).Text()
	}
	out.Add(registrationInfo, 1, info...)
}

// addRemaining adds the remaining time of a registration. Kamailio computes it from
// its host's clock, so it can be wrong by years if that clock was changed.
func addRemaining(out *metric.Writer, v rpc.Value, labels []string) {
	if !v.Exists() {
		return
	}
	seconds, ok := number(v, false)
	if !ok || math.Abs(seconds) > longestRegistration {
		skipNumber(out, "diff_expires", v)
		return
	}
	out.Add(registrationRemaining, seconds, labels...)
}

func registrationFlags(out *metric.Writer, registration rpc.Value) (uint64, bool) {
	v := registration.Get("flags")
	flags, ok := v.Uint()
	if v.Exists() && !ok {
		out.Skip(metric.NotANumber, whatIs("flags", v))
	}
	return flags, ok
}

func registrationState(flags uint64, registration rpc.Value) string {
	left, known := registration.Get("diff_expires").Int()
	switch {
	case flags&registrationFlagOnline != 0 && (!known || left > 0):
		return registrationStateRegistered
	case flags&registrationFlagOngoing != 0:
		return registrationStateOngoing
	case flags&registrationFlagDisabled != 0:
		return registrationStateDisabled
	default:
		return registrationStateUnregistered
	}
}
