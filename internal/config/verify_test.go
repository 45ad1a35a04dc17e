package config_test

import (
	"slices"
	"testing"
)

func TestVerification(t *testing.T) {
	const key, verify, remove = "RECEIVER_DEEPIMAGE_API_KEY", "RECEIVER_VERIFY", "RECEIVER_DELETE_AFTER_DONE"
	rows := []struct {
		name     string
		set      map[string]string
		verifies bool
		want     []string // faults
	}{
		{"nothing", nil, false, nil},
		{"a key", map[string]string{key: "key-0123456789"}, true, nil},
		{"auto", map[string]string{key: "key-0123456789", verify: "auto"}, true, nil},
		{"auto without a key", map[string]string{verify: "auto"}, false, nil},
		{"off", map[string]string{key: "key-0123456789", verify: "off"}, false, nil},
		{"required", map[string]string{key: "key-0123456789", verify: "required"}, true, nil},
		{"required without a key", map[string]string{verify: "required"}, false, []string{verify + " is required, which needs " + key}},
		{"something else", map[string]string{verify: "yes"}, false, []string{verify + ` is "yes", and must be auto, off or required`}},
		{"deletion", map[string]string{key: "key-0123456789", remove: "true"}, true, nil},
		{"deletion without a key", map[string]string{remove: "true"}, false, []string{remove + " is true, which needs " + key}},
		{
			"deletion of what is not verified",
			map[string]string{key: "key-0123456789", verify: "off", remove: "true"},
			false,
			[]string{remove + " is true, which needs callbacks that are verified; " + verify + " is off"},
		},
		{
			"deletion of what nobody keeps",
			map[string]string{key: "key-0123456789", remove: "true", "RECEIVER_DOWNLOAD_STRICT": "false"},
			true,
			[]string{remove + " is true, which needs a handler that keeps the images: download, or forward with RECEIVER_FORWARD_MODE=image or raw"},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			if got := faultsOf(t, row.set); !slices.Equal(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
			if row.want == nil && mustLoad(t, row.set).Verifies() != row.verifies {
				t.Errorf("it must be %t", row.verifies)
			}
		})
	}
}
