package event

import (
	"encoding/json"
	"slices"
)

// Renewal is what a repeat of an event says about its results: URLs that differ from those of the event in their signatures only.
type Renewal struct {
	Event ID
	Job   string
	URLs  []string // of Images, in their order
}

// SignedURLs returns the URLs of Images if one of them is signed, so that those of a repeat of the event may work longer; else nil.
func (e Event) SignedURLs() []string {
	if e.SignedDigest == e.Digest || e.SignedDigest == (Digest{}) {
		return nil
	}
	images, _ := e.Images()
	urls := make([]string, 0, len(images))
	for _, image := range images {
		urls = append(urls, image.URL)
	}
	return urls
}

// Renew returns the event with newly signed URLs of its images. It returns false if they are the same, or other than in their signatures.
func (e Event) Renew(urls []string) (renewed Event, ok bool) {
	images, _ := e.Images()
	if len(images) == 0 || len(images) != len(urls) {
		return e, false
	}
	for i, image := range images {
		if withoutSignature(image.URL) != withoutSignature(urls[i]) {
			return e, false
		}
		ok = ok || image.URL != urls[i]
	}
	if !ok {
		return e, false
	}
	renewed = e
	if images[0].Pointer == "/result_url" {
		renewed.ResultURL, urls = urls[0], urls[1:]
	}
	renewed.Results = nil
	if len(urls) > 0 {
		renewed.Results, _ = json.Marshal(slices.Clip(urls)) // strings can always be marshaled
	}
	return renewed, true
}
