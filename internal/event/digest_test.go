package event_test

import (
	"fmt"
	"testing"

	"github.com/deepimage-receiver/receiver/internal/event"
)

// digest returns the digest of a body with these members.
func digest(t *testing.T, members string) string {
	t.Helper()
	e, err := event.Decode([]byte(`{"job":"j",` + members + `}`))
	if err != nil {
		t.Fatalf("%s: error = %v, want none", members, err)
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
				t.Errorf("digest = %s, want %s", got, row.want)
			}
		})
	}
}

// TestDigestOfSignedURLs has rows of fault A10: the signature of a URL is not part of its identity.
func TestDigestOfSignedURLs(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, plain, one, other string }{
		{
			"A10 S3", "https://b.s3.amazonaws.com/a.png",
			"https://b.s3.amazonaws.com/a.png?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20260521%2Feu%2Fs3%2Faws4_request&X-Amz-Date=20260521T000000Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=aa",
			"https://b.s3.amazonaws.com/a.png?X-Amz-Signature=bb&X-Amz-Security-Token=x&X-Amz-Date=20260522T000000Z&X-Amz-Credential=ASIA&X-Amz-Algorithm=A&X-Amz-Expires=60&X-Amz-SignedHeaders=host",
		},
		{"A10 S3 version 2", "https://b.s3.amazonaws.com/a.png", "https://b.s3.amazonaws.com/a.png?AWSAccessKeyId=A&Expires=1&Signature=a%3D", "https://b.s3.amazonaws.com/a.png?Signature=b&Expires=2&AWSAccessKeyId=B"},
		{"A10 GCS", "https://storage.googleapis.com/b/a.png", "https://storage.googleapis.com/b/a.png?X-Goog-Algorithm=A&X-Goog-Credential=c&X-Goog-Date=d&X-Goog-Expires=1&X-Goog-SignedHeaders=host&X-Goog-Signature=1", "https://storage.googleapis.com/b/a.png?X-Goog-Signature=2"},
		{"A10 GCS version 2", "https://storage.googleapis.com/b/a.png", "https://storage.googleapis.com/b/a.png?GoogleAccessId=a&Expires=1&Signature=1", "https://storage.googleapis.com/b/a.png?GoogleAccessId=a&Expires=2&Signature=2"},
		{"A10 Azure", "https://a.blob.core.windows.net/c/a.png", "https://a.blob.core.windows.net/c/a.png?sv=2024-11-04&st=1&se=2&sr=b&sp=r&sig=a%2Bb", "https://a.blob.core.windows.net/c/a.png?sp=r&sig=c&sv=2025-01-05&se=3&sr=b&skoid=x"},
		{"A10 CloudFront", "https://d1.cloudfront.net/a.png", "https://d1.cloudfront.net/a.png?Expires=1&Signature=a~&Key-Pair-Id=K", "https://d1.cloudfront.net/a.png?Policy=p&Signature=b&Key-Pair-Id=K2"},
		{"A10 other parameters stay", "https://b/a.png?versionId=7&w=1#x", "https://b/a.png?versionId=7&X-Amz-Date=1&w=1&X-Amz-Signature=1#x", "https://b/a.png?versionId=7&w=1&x-amz-signature=2#x"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for _, form := range []string{`"result_url":%q`, `"results":[{"url":%q}]`, `"results":{"a":[%q,"b?"],"b":{"X-Amz-Signature":"?"}}`} {
				want := digest(t, fmt.Sprintf(form, row.plain))
				for _, address := range []string{row.one, row.other} {
					if got := digest(t, fmt.Sprintf(form, address)); got != want {
						t.Errorf("digest of %s = %s, want %s", fmt.Sprintf(form, address), got, want)
					}
				}
			}
		})
	}
}

// TestSignedDigest holds the digest that the first versions stored.
func TestSignedDigest(t *testing.T) {
	t.Parallel()
	e, err := event.Decode([]byte(`{"job":"j","result_url":"https://deep-image.ai/a.png?X-Amz-Signature=1"}`))
	if err != nil {
		t.Fatal(err)
	}
	const signed, plain = "ab42d365f74d9d67b12b14f79532613bc3113dce3a1ed52ba41a7b3617b04b47", "71f91e174010b049ab4e19ebc7b6f93ffa4aca631088ba6817d1f7f5a3e9a4e4"
	if e.SignedDigest.String() != signed || e.Digest.String() != plain {
		t.Errorf("digests = %s, %s, want %s, %s", e.SignedDigest, e.Digest, signed, plain)
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
				t.Errorf("digest of %s = %s, want %s, as of %s", row.one, one, other, row.other)
			}
		})
	}
}

func TestDigestDiffers(t *testing.T) {
	t.Parallel()
	rows := []struct{ name, one, other string }{
		{"query without a signature", `"result_url":"https://a/b?Expires=1"`, `"result_url":"https://a/b?Expires=2"`},
		{"signature without its key", `"result_url":"https://a/b?Signature=1"`, `"result_url":"https://a/b?Signature=2"`},
		{"key of a signed object", `"result_url":"https://a/b?X-Amz-Signature=1"`, `"result_url":"https://a/c?X-Amz-Signature=1"`},
		{"version of a signed object", `"result_url":"https://a/b?versionId=1&X-Amz-Signature=1"`, `"result_url":"https://a/b?versionId=2&X-Amz-Signature=1"`},
		{"text with a signature", `"results":"see https://a/b?X-Amz-Signature=1"`, `"results":"see https://a/b?X-Amz-Signature=2"`},
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
				t.Errorf("digest = %s for both %s and %s, want two", one, row.one, row.other)
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
		t.Errorf("digest = %s (%v), want %s: job and unknown names do not count", other.Digest, err, one.Digest)
	}
}
