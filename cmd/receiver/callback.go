package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"
)

// sampleResultURL is the one of Deep Image's documentation. No receiver fetches from it.
const sampleResultURL = "https://localhost:8073/images/2023-10-05/1f48bcdb-0117-49aa-b9e3-c5df10680642.png"

// sampleData is a request as Deep Image echoes it.
const sampleData = `{"url":"https://deep-image.ai/api-example.png","width":1000,"height":1000}`

// callback is the body that Deep Image documents.
type callback struct {
	Job       string          `json:"job"`
	Data      json.RawMessage `json:"data"`
	ResultURL *string         `json:"result_url"`
	Results   json.RawMessage `json:"results"`
}

// buildBody returns the body of the callback, built from the flags or read from a file.
func buildBody(options sendOptions, in io.Reader) ([]byte, error) {
	if options.bodyFile != "" {
		return readInput("--body", options.bodyFile, in)
	}
	if options.dataFile == "-" && options.resultsFile == "-" {
		return nil, wrongUsage("only one of --data and --results can be standard input")
	}
	data, err := readJSON("--data", options.dataFile, sampleData, in)
	if err != nil {
		return nil, err
	}
	results, err := readJSON("--results", options.resultsFile, "null", in)
	if err != nil {
		return nil, err
	}
	c := callback{Job: options.job, Data: data, Results: results}
	if c.Job == "" {
		c.Job = newJob()
	}
	if options.resultURL != "" {
		c.ResultURL = &options.resultURL
	}
	return json.Marshal(c)
}

// newJob returns a job id in the format of Deep Image, a UUID of version 1. Its node is random, so that it does not
// contain the address of this machine.
func newJob() string {
	id := uuid.New()
	id[6] = id[6]&0x0f | 1<<4
	return id.String()
}

func readJSON(flag, path, otherwise string, in io.Reader) (json.RawMessage, error) {
	if path == "" {
		return json.RawMessage(otherwise), nil
	}
	content, err := readInput(flag, path, in)
	if err != nil {
		return nil, err
	}
	if !json.Valid(content) {
		return nil, wrongUsage("%s: %s is not JSON", flag, path)
	}
	return content, nil
}

// readInput reads a file of at most maxInput bytes. The path - is standard input.
func readInput(flag, path string, in io.Reader) ([]byte, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, wrongUsage("%s: %s", flag, err)
		}
		defer file.Close() //nolint:errcheck // nothing was written
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	if len(content) > maxInput {
		return nil, wrongUsage("%s: %s is longer than %d bytes", flag, path, maxInput)
	}
	return content, nil
}
