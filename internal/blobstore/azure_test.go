package blobstore_test

import (
	"net/http"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"
	"github.com/deepimage-receiver/receiver/internal/blobstore"
	"github.com/deepimage-receiver/receiver/internal/blobstore/blobstoretest"
)

const azureVariable = "BLOBSTORE_TEST_AZBLOB_URL"

func TestAzureBucket(t *testing.T) {
	makeContainer(t)
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket {
		t.Helper()
		return openRemote(t, blobstoretest.Outside(t, azureVariable))
	})
}

// Everything that is not empty goes up in blocks, also what would not have to.
func TestAzureBucketInBlocks(t *testing.T) {
	makeContainer(t)
	blobstoretest.Run(t, func(t *testing.T) blobstore.Bucket {
		t.Helper()
		return openRemote(t, blobstoretest.Outside(t, azureVariable), blobstore.WithPartBytes(0, 4<<20))
	})
}

// makeContainer makes the container of the server, unless it is there.
func makeContainer(t *testing.T) {
	t.Helper()
	address, err := url.Parse(blobstoretest.Outside(t, azureVariable))
	if err != nil {
		t.Fatal(err)
	}
	place := address.Query().Get("endpoint") + "/" + address.Host + "?restype=container&" + accountSignature(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, place, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusCreated && answer.StatusCode != http.StatusConflict {
		t.Fatalf("creation of the container: status = %s, want 201 or 409", answer.Status)
	}
}

// accountSignature is a shared access signature that allows everything for an hour.
func accountSignature(t *testing.T) string {
	t.Helper()
	key, err := blob.NewSharedKeyCredential(os.Getenv("AZURE_STORAGE_ACCOUNT"), os.Getenv("AZURE_STORAGE_KEY"))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := sas.AccountSignatureValues{
		Protocol: sas.ProtocolHTTPSandHTTP, ExpiryTime: time.Now().Add(time.Hour),
		Permissions:   (&sas.AccountPermissions{Read: true, Write: true, Create: true}).String(),
		ResourceTypes: (&sas.AccountResourceTypes{Service: true, Container: true, Object: true}).String(),
	}.SignWithSharedKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Encode()
}
