package broker_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/handler/publish/broker"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	rows := []struct {
		name, text                   string
		scheme, user, password, path string
		hosts                        []string
		parameter                    string // value of x
	}{
		{name: "everything", text: "NATS://u:p@a:1,b:2/s.t?x=1", scheme: "nats", user: "u", password: "p", hosts: []string{"a:1", "b:2"}, path: "s.t", parameter: "1"},
		{name: "host alone", text: "nats://a", scheme: "nats", hosts: []string{"a"}},
		{name: "no host", text: "awssns:///arn:aws:sns:eu:1:t", scheme: "awssns", path: "arn:aws:sns:eu:1:t"},
		{name: "IPv6", text: "amqp://[::1]:5672,[fe80::1]/", scheme: "amqp", hosts: []string{"[::1]:5672", "[fe80::1]"}},
		{name: "escapes", text: "amqp://u%40x:p%2F%3A%23%25@h/%2F?x=%26", scheme: "amqp", user: "u@x", password: "p/:#%", hosts: []string{"h"}, path: "/", parameter: "&"},
		{name: "at sign and colon in a password", text: "amqp://u:p@:q@h/v", scheme: "amqp", user: "u", password: "p@:q", hosts: []string{"h"}, path: "v"},
		{name: "user alone", text: "nats://token@h/s", scheme: "nats", user: "token", hosts: []string{"h"}, path: "s"},
		{name: "parameters without a path", text: "amqp://h?x=1", scheme: "amqp", hosts: []string{"h"}, parameter: "1"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got, err := broker.ParseAddress(row.text)
			if err != nil {
				t.Fatal(err)
			}
			if got.Scheme != row.scheme || got.User != row.user || got.Password.Reveal() != row.password || got.Path != row.path ||
				!slices.Equal(got.Hosts, row.hosts) || got.Parameters.Text("x") != row.parameter {
				t.Errorf("address = %+v, password = %q, want %+v", got, got.Password.Reveal(), row)
			}
			if err := got.Parameters.Err(); err != nil && row.parameter != "" {
				t.Error(err)
			}
		})
	}
}

// A badly escaped password can be anywhere in a URL: errors quote nothing of it.
func TestAddressErrorsContainNoPassword(t *testing.T) {
	t.Parallel()
	rows := map[string]string{
		"empty":                    "",
		"no scheme":                "u:T0KEN@host/subject",
		"hash in a password":       "nats://u:T0#KEN@host/s",
		"slash in a password":      "nats://u:T0/KEN@host/s",
		"question in a password":   "nats://u:T0?KEN@host/s",
		"question, other password": "amqp://T0?KEN@host/s",
		"percent in a password":    "nats://u:T0%KEN@host/s",
		"percent in a path":        "nats://host/T0%KEN",
		"two colons in a host":     "nats://host:1:T0KEN/s",
		"comma in a host":          "nats://host,,T0KEN/s",
		"blank in a host":          "nats://T0KEN x/s",
		"control character":        "nats://u:T0\nKEN@host/s",
		"parameter without a name": "nats://host/s?%zz=T0KEN",
		"unknown parameter":        "nats://host/s?T0KEN=1",
		"unknown lower case":       "nats://host/s?T0KEN%40host=1",
		"too long":                 "nats://host/" + strings.Repeat("T0KEN", 1000),
	}
	for name, text := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, err := broker.ParseAddress(text)
			if err == nil {
				err = address.Parameters.Err()
			}
			if err == nil {
				t.Fatal("error = nil, want one")
			}
			if strings.Contains(err.Error(), "T0") || strings.Contains(err.Error(), "KEN") {
				t.Errorf("error = %v, want no part of T0KEN in it", err)
			}
		})
	}
}

func TestHostsWithPort(t *testing.T) {
	t.Parallel()
	address, err := broker.ParseAddress("kafka://a,b:1,[::1],[::1]:2,c:/t")
	if err != nil {
		t.Fatal(err)
	}
	got, err := address.HostsWithPort("9092")
	if want := []string{"a:9092", "b:1", "[::1]:9092", "[::1]:2", "c:9092"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("hosts = %v, error = %v, want %v", got, err, want)
	}
	address.Hosts = nil
	if _, err := address.HostsWithPort("9092"); err == nil {
		t.Error("error without a host = nil, want one")
	}
}
