package event_test

import (
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// digest decodes a body of these members and gives its digest.
func digest(t *testing.T, members string) string {
	t.Helper()
	e, err := event.Decode([]byte(`{"job":"j",` + members + `}`))
	if err != nil {
		t.Fatalf("%s: %v", members, err)
	}
	return e.Digest.String()
}

// TestDigestGolden holds digests that are stored in databases. They never change.
func TestDigestGolden(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, members, want string }{
		{"nothing", `"data":1`, "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"},
		{"address", `"result_url":"https://deep-image.ai/a.png"`, "71f91e174010b049ab4e19ebc7b6f93ffa4aca631088ba6817d1f7f5a3e9a4e4"},
		{"address and list", `"result_url":"https://deep-image.ai/a.png","results":["https://deep-image.ai/a.png"]`, "47c96026de75234e163e68041a44451c7c12d1b0b7078d7cf2bdc4067a109dab"},
		{"object", `"results":{"b":[1, 2.50, -0, 1e400, true, null],"a":"\u00e9\/\ud83d\ude80"}`, "ef28152b16f7e177bfcc467f719f8206342a5f291072e4aabf4680a4055c582d"},
		{"order of names is that of UTF-16", `"results":{"\ufb33":1,"\ud83d\ude00":2,"\u20ac":3}`, "538945c2b639a6be6061d332382a4db0228a53db07a2fb8ca305de1241106885"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := digest(t, row.members); got != row.want {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func TestDigestIsTheSame(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, one, other string }{
		{"null and missing result_url", `"result_url":null`, `"data":{}`},
		{"null and empty result_url", `"result_url":null`, `"result_url":""`},
		{"null and missing results", `"results":null`, `"data":0`},
		{"another request", `"data":{"a":1},"result_url":"u"`, `"data":{"b":2},"result_url":"u"`},
		{"escapes of result_url", `"result_url":"https:\/\/a\u002fb"`, `"result_url":"https://a/b"`},
		{"white space", `"results":{"a":[1,{"b":2}]}`, "\"results\" : {\r\n\t\"a\" : [ 1 , { \"b\" : 2 } ] } "},
		{"order of names", `"results":{"a":1,"b":{"c":1,"d":2}}`, `"results":{"b":{"d":2,"c":1},"a":1}`},
		{"escapes", `"results":["\u0061\/\u00e9","\ud83d\ude00"]`, `"results":["a/é","😀"]`},
		{"escaped names", `"results":{"\u0061":1}`, `"results":{"a":1}`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if one, other := digest(t, row.one), digest(t, row.other); one != other {
				t.Errorf("%s for %s\n%s for %s", one, row.one, other, row.other)
			}
		})
	}
}

func TestDigestDiffers(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, one, other string }{
		{"result_url", `"result_url":"https://a/b"`, `"result_url":"https://a/B"`},
		{"side of the border", `"result_url":"a","results":"b"`, `"result_url":"a\"b\""`},
		{"results for result_url", `"result_url":"1"`, `"results":1`},
		{"null and empty list", `"results":null`, `"results":[]`},
		{"null and its name", `"results":null`, `"results":"null"`},
		{"null within", `"results":[null]`, `"results":[]`},
		{"empty list and object", `"results":[]`, `"results":{}`},
		{"order of a list", `"results":[1,2]`, `"results":[2,1]`},
		{"numbers beyond a double", `"results":9007199254740993`, `"results":9007199254740992`},
		{"fractions beyond a double", `"results":0.1`, `"results":0.10000000000000000001`},
		{"numbers that a double cannot hold", `"results":1e400`, `"results":1e500`},
		{"sign of zero", `"results":-0`, `"results":0`},
		{"number and text", `"results":1`, `"results":"1"`},
		{"normal forms", `"results":"\u00e9"`, `"results":"e\u0301"`},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if one := digest(t, row.one); one == digest(t, row.other) {
				t.Errorf("%s for both %s and %s", one, row.one, row.other)
			}
		})
	}
}

func TestDigestOfWhatIsNoResult(t *testing.T) {
	t.Parallel()
	one, err := event.Decode([]byte(`{"job":"a","result_url":"u","extra":1}`))
	if err != nil {
		t.Fatal(err)
	}
	other, err := event.Decode([]byte(`{"job":"b","result_url":"u"}`))
	if err != nil || one.Digest != other.Digest {
		t.Errorf("job or unknown names are in the digest: %v", err)
	}
}
