package config

import (
	"slices"
	"testing"

	"github.com/kamailio-exporter/kamailio_exporter/v3/internal/collector"
)

// TestListsMergeRepeatedFlags repeats flags, and has one key in both forms.
func TestListsMergeRepeatedFlags(t *testing.T) {
	cfg, err := Parse([]string{
		"--kamailio.dialog-profiles", "all, trunk:carrier1", "--kamailio.dialog-profiles=trunk:carrier2,all",
		"--kamailio.htable-keys", "calls=>total,calls:total", "--kamailio.htable-keys=a:sip:x",
		"--kamailio.shv", "maintenance, calls", "--kamailio.shv=calls,7",
		"--kamailio.kafka-topics", "cdr, acc.failed", "--kamailio.kafka-topics=cdr",
	})
	if err != nil {
		t.Fatal(err)
	}
	settings := cfg.Target.Modules[0].Settings
	profiles := []collector.DialogProfile{{Name: "all"}, {Name: "trunk", Value: "carrier1"}, {Name: "trunk", Value: "carrier2"}}
	if !slices.Equal(settings.DialogProfiles, profiles) {
		t.Errorf("profiles %v, want %v", settings.DialogProfiles, profiles)
	}
	keys := []collector.HtableKey{{Table: "calls", Key: "total"}, {Table: "a", Key: "sip:x"}}
	if !slices.Equal(settings.HtableKeys, keys) {
		t.Errorf("keys %v, want %v", settings.HtableKeys, keys)
	}
	if variables := []string{"maintenance", "calls", "7"}; !slices.Equal(settings.SharedVariables, variables) {
		t.Errorf("shared variables %q, want %q", settings.SharedVariables, variables)
	}
	if topics := []string{"cdr", "acc.failed"}; !slices.Equal(settings.KafkaTopics, topics) {
		t.Errorf("topics %q, want %q", settings.KafkaTopics, topics)
	}
}
