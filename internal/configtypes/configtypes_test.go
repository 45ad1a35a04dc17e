package configtypes_test

import (
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/configtypes"
)

func TestSizeDecode(t *testing.T) {
	t.Parallel()
	const refused = -1
	rows := map[string]configtypes.Size{
		"0": 0, "33554432": 32 << 20, "32MiB": 32 << 20, "32 MiB": 32 << 20, "1GB": 1_000_000_000, "1.5KiB": 1536, "1b": 1,
		"": refused, "-1": refused, "many": refused, "1 XB": refused, "1e9": refused, "NaN": refused, "99999999999EB": refused, "16EiB": refused,
	}
	for text, want := range rows {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got := configtypes.Size(refused)
			if err := got.Decode(text); (err != nil) != (want == refused) || got != want {
				t.Errorf("got %d, %v; want %d", got, err, want)
			}
		})
	}
}

func TestSizeStringHasAUnit(t *testing.T) {
	t.Parallel()
	for size, want := range map[configtypes.Size]string{0: "0 B", 32 << 20: "32 MiB", 1536: "1.5 KiB", -5: "0 B"} {
		if got := size.String(); got != want {
			t.Errorf("%d is written %q, want %q", int64(size), got, want)
		}
	}
}

func TestListDecode(t *testing.T) {
	t.Parallel()
	rows := []struct {
		text string
		want configtypes.List // nil when the text must be refused
	}{
		{"a", configtypes.List{"a"}},
		{" a , b ", configtypes.List{"a", "b"}},
		{"", nil},
		{"a,", nil},
		{"a,,b", nil},
		{" , a", nil},
	}
	for _, row := range rows {
		t.Run(row.text, func(t *testing.T) {
			t.Parallel()
			var got configtypes.List
			if err := got.Decode(row.text); (err != nil) != (row.want == nil) || !slices.Equal(got, row.want) {
				t.Errorf("got %q, %v; want %q", got, err, row.want)
			}
		})
	}
}

func TestPrefixesDecode(t *testing.T) {
	t.Parallel()
	rows := []struct {
		text string
		want string // networks with a space between; "" when the text must be refused
	}{
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"10.0.0.0/8, fd00::/8", "10.0.0.0/8 fd00::/8"},
		{"192.0.2.7", "192.0.2.7/32"},
		{"::1", "::1/128"},
		{"::ffff:192.0.2.7", "192.0.2.7/32"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"", ""},
		{"10.0.0.0/8,", ""},
		{"10.0.0.1/8", ""},
		{"10.0.0.0/33", ""},
		{"010.0.0.0/8", ""},
		{"10.0.0.0/255.0.0.0", ""},
		{"example.com", ""},
	}
	for _, row := range rows {
		t.Run(row.text, func(t *testing.T) {
			t.Parallel()
			var got configtypes.Prefixes
			if err := got.Decode(row.text); (err != nil) != (row.want == "") {
				t.Fatalf("error is %v", err)
			}
			var texts []string
			for _, prefix := range got {
				texts = append(texts, prefix.String())
			}
			if joined := strings.Join(texts, " "); joined != row.want {
				t.Errorf("got %q, want %q", joined, row.want)
			}
		})
	}
}

func TestPrefixesSayWhatWasMeant(t *testing.T) {
	t.Parallel()
	var prefixes configtypes.Prefixes
	err := prefixes.Decode("10.1.2.3/8")
	if err == nil || !strings.Contains(err.Error(), "is 10.0.0.0/8 meant?") {
		t.Errorf("error is %v", err)
	}
}

func TestPrefixesContain(t *testing.T) {
	t.Parallel()
	prefixes := configtypes.Prefixes{
		netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("fe80::/10"),
	}
	rows := map[string]bool{
		"10.255.0.1": true, "::ffff:10.0.0.1": true, "fd12::1": true, "fe80::1%eth0": true,
		"11.0.0.1": false, "::1": false, "::ffff:11.0.0.1": false, "::10.0.0.1": false,
	}
	for text, want := range rows {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			if got := prefixes.Contains(netip.MustParseAddr(text)); got != want {
				t.Errorf("contains is %t, want %t", got, want)
			}
		})
	}
	if (configtypes.Prefixes{}).Contains(netip.MustParseAddr("10.0.0.1")) {
		t.Error("empty Prefixes contain 10.0.0.1, want none")
	}
	if prefixes.Contains(netip.Addr{}) {
		t.Error("Contains(zero address) = true, want false")
	}
}

// A network that an operator wrote must contain exactly what netip says it does, whatever spelling it had.
func FuzzPrefixesDecode(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/8", "::1", "::ffff:10.0.0.0/104", "fd00::/8, 192.0.2.1", "a,b", "1.2.3.4/5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var prefixes configtypes.Prefixes
		if err := prefixes.Decode(text); err != nil {
			return
		}
		for _, prefix := range prefixes {
			if !prefix.IsValid() || prefix != prefix.Masked() || !prefixes.Contains(prefix.Addr()) {
				t.Errorf("network of %q = %v, want one that contains its own address", text, prefix)
			}
		}
	})
}

func TestIsLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "localhost.example.com": false, "[::1]": false, "10.0.0.1": false, "rebound.test": false,
	} {
		if got := configtypes.IsLoopback(host); got != want {
			t.Errorf("IsLoopback(%q) = %t, want %t", host, got, want)
		}
	}
}

func TestMode(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text    string
		want    fs.FileMode
		wantErr bool
	}{
		{text: "0640", want: 0o640},
		{text: "644", want: 0o644},
		{text: "0o755", want: 0o755},
		{text: " 2750 ", want: fs.ModeSetgid | 0o750},
		{text: "0", wantErr: true},
		{text: "0888", wantErr: true},
		{text: "rw-r-----", wantErr: true},
		{text: "4755", wantErr: true},
		{text: "-640", wantErr: true},
		{text: "100640", wantErr: true},
	} {
		var mode configtypes.Mode
		if err := mode.Decode(row.text); (err != nil) != row.wantErr || mode.FileMode() != row.want {
			t.Errorf("Decode(%q) = %v, %v, want %v, error: %t", row.text, mode.FileMode(), err, row.want, row.wantErr)
		}
	}
}
