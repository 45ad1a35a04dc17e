package event

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// vendorHosts are the hosts of Deep Image's results; a name that begins with a dot stands for all names that end with it.
func vendorHosts() []string {
	return []string{"deep-image.ai", ".deep-image.ai", "neuroapi-store.s3.eu-central-1.amazonaws.com"}
}

// Confirm returns the event as it continues after Deep Image has reported the result URL of its job: with that URL, and with
// those images in results that can be trusted too. It returns their URLs, and the number of the others, which are ignored.
//
// Anyone who knows the id of a job can send a callback with other results. So they count only if the callback offers the
// reported result as well, under the same or another signature, and if they are on its host or on a host of Deep Image.
func (e Event) Confirm(resultURL string) (confirmed Event, trusted []string, ignored int) {
	images, omitted := e.Images()
	isReported := func(r Result) bool { return withoutQuery(r.URL) == withoutQuery(resultURL) }
	isGenuine := slices.ContainsFunc(images, isReported)
	for _, image := range images {
		switch {
		case isReported(image) || image.Pointer == "/result_url": // replaced by resultURL
		case isGenuine && isOfVendor(image.URL, resultURL):
			trusted = append(trusted, image.URL)
		default:
			ignored++
		}
	}
	confirmed = e
	confirmed.ResultURL, confirmed.Results = resultURL, nil
	if len(trusted) > 0 {
		confirmed.Results, _ = json.Marshal(trusted) // strings can always be marshaled
	}
	return confirmed, trusted, ignored + omitted
}

// isOfVendor reports whether an image is on the host of the reported result or on a host of Deep Image.
func isOfVendor(address, reported string) bool {
	host := hostOf(address)
	return host == hostOf(reported) || slices.ContainsFunc(vendorHosts(), func(name string) bool {
		return host == name || strings.HasPrefix(name, ".") && strings.HasSuffix(host, name)
	})
}

// hostOf returns the host name of an image's URL in lower case.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(parsed.Hostname())
}

// withoutQuery returns a URL without its query, which may hold a signature, and its fragment.
func withoutQuery(address string) string {
	if end := strings.IndexAny(address, "?#"); end >= 0 {
		return address[:end]
	}
	return address
}

// IgnoredResults returns the sentence about results that Confirm ignores.
func IgnoredResults(count int) string {
	return fmt.Sprintf("Results of the callback that are not fetched: %d. They are not on a host of Deep Image, or the callback does not offer "+
		"the result that Deep Image reports.", count)
}
