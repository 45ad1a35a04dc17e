package fakevendor

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// StorageURL is the address of a result when the request had a target of its own.
const StorageURL = "storage://my-bucket/results/image.png"

// callback is the documented payload.
type callback struct {
	Job       string          `json:"job"`
	Data      json.RawMessage `json:"data"`
	ResultURL *string         `json:"result_url"`
	Results   json.RawMessage `json:"results"`
}

// Callback returns the body that the vendor sends to webhook when the job is done. Like
// the real one it echoes the request in data, with the address of the webhook.
func (v *Vendor) Callback(job Job, webhook string) []byte {
	resultURL, results := job.result()
	body, err := json.Marshal(callback{
		Job:       job.ID,
		Data:      job.echo(webhook),
		ResultURL: resultURL,
		Results:   results,
	})
	if err != nil {
		panic(fmt.Sprintf("fakevendor: callback: %v", err)) // NewJob has checked what a caller brings
	}
	return body
}

// result returns result_url and results in the job's shape; nil is null.
func (j Job) result() (resultURL *string, results json.RawMessage) {
	storage := StorageURL
	switch j.options.Shape {
	case ResultURL:
		resultURL = &j.ResultURL
	case ResultStorage:
		resultURL = &storage
	}
	if j.options.Results != nil {
		return resultURL, j.options.Results
	}
	return resultURL, j.results()
}

func (j Job) results() json.RawMessage {
	var list []any
	named := map[string]string{}
	for n, image := range j.Images {
		named["image_"+strconv.Itoa(n+1)] = image.URL
		if j.options.Shape == ResultObjects {
			list = append(list, map[string]string{"result_url": image.URL})
		} else {
			list = append(list, image.URL)
		}
	}
	switch j.options.Shape {
	case ResultStrings, ResultObjects:
		return mustMarshal(list)
	case ResultMap:
		return mustMarshal(named)
	default:
		return nil
	}
}

// echo returns the request as the vendor echoes it. An object gets the webhook's address; a request of another shape
// is not changed.
func (j Job) echo(webhook string) json.RawMessage {
	request := map[string]json.RawMessage{}
	switch {
	case j.options.Data == nil:
		request["url"] = mustMarshal("https://example.com/original.png")
		request["width"] = mustMarshal(j.Images[0].Width)
		request["height"] = mustMarshal(j.Images[0].Height)
	case json.Unmarshal(j.options.Data, &request) != nil || request == nil:
		return j.options.Data
	}
	request["webhooks"] = mustMarshal(map[string]string{"complete": webhook})
	return mustMarshal(request)
}

// mustMarshal is for values that JSON can always hold.
func mustMarshal(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("fakevendor: %v", err))
	}
	return text
}
