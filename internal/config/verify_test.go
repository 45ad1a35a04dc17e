package config_test

import "testing"

func TestVerification(t *testing.T) {
	const key, verify, remove = "RECEIVER_DEEPIMAGE_API_KEY", "RECEIVER_VERIFY", "RECEIVER_DELETE_AFTER_DONE"
	rows := []struct {
		name     string
		set      map[string]string
		verifies bool
		want     []string // variables with errors
	}{
		{name: "nothing"},
		{name: "a key", set: map[string]string{key: "key-0123456789"}, verifies: true},
		{name: "auto", set: map[string]string{key: "key-0123456789", verify: "auto"}, verifies: true},
		{name: "auto without a key", set: map[string]string{verify: "auto"}},
		{name: "off", set: map[string]string{key: "key-0123456789", verify: "off"}},
		{name: "required", set: map[string]string{key: "key-0123456789", verify: "required"}, verifies: true},
		{name: "required without a key", set: map[string]string{verify: "required"}, want: []string{verify}},
		{name: "something else", set: map[string]string{verify: "yes"}, want: []string{verify}},
		{name: "deletion", set: map[string]string{key: "key-0123456789", remove: "true"}, verifies: true},
		{name: "deletion without a key", set: map[string]string{remove: "true"}, want: []string{remove}},
		{name: "deletion without verification", set: map[string]string{key: "key-0123456789", verify: "off", remove: "true"}, want: []string{remove}},
		{
			name: "deletion without a handler that stores images",
			set:  map[string]string{key: "key-0123456789", remove: "true", "RECEIVER_DOWNLOAD_STRICT": "false"}, want: []string{remove},
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			checkErrors(t, row.set, "", row.want...)
			if row.want == nil && mustLoad(t, row.set).Verifies() != row.verifies {
				t.Errorf("Verifies() = %t, want %t", !row.verifies, row.verifies)
			}
		})
	}
}
