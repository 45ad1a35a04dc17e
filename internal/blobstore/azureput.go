package blobstore

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
)

// create stores content in one request, or in blocks if it is large. The service
// checks each request's body by its MD5.
func (s *azureService) create(ctx context.Context, name string, c content) error {
	client, err := s.blob(name)
	if err != nil {
		return err
	}
	if c.size > s.limits.single {
		return s.createInBlocks(ctx, client, c)
	}
	md5, err := c.md5(ctx)
	if err != nil {
		return s.explain(ctx, err)
	}
	_, err = client.Upload(ctx, bodyOf(c.all()), &blockblob.UploadOptions{
		HTTPHeaders:             headersOf(c, md5),
		Metadata:                metadataOf(c),
		AccessConditions:        onlyNew(),
		TransactionalValidation: blob.TransferValidationTypeMD5(md5),
	})
	return s.explain(ctx, err)
}

// createInBlocks looks first, so that a large object is not sent for nothing. The
// blocks are invisible until they are committed. Writers of one name share
// them, so each has names of its own; the service forgets what is not used after a week.
func (s *azureService) createInBlocks(ctx context.Context, client *blockblob.Client, c content) error {
	if _, err := client.GetProperties(ctx, nil); err == nil {
		return errTaken
	}
	names, err := s.stageBlocks(ctx, client, c)
	if err != nil {
		return s.explain(ctx, err)
	}
	_, err = client.CommitBlockList(ctx, names, &blockblob.CommitBlockListOptions{
		HTTPHeaders: headersOf(c, nil), Metadata: metadataOf(c), AccessConditions: onlyNew(),
	})
	return s.explain(ctx, err)
}

func (s *azureService) stageBlocks(ctx context.Context, client *blockblob.Client, c content) ([]string, error) {
	writer, whole := rand.Text(), sha256.New()
	var names []string
	for offset := int64(0); offset < c.size; offset += s.limits.part {
		size := min(s.limits.part, c.size-offset)
		sums, err := c.sums(ctx, offset, size, whole)
		if err != nil {
			return nil, err
		}
		name := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s-%06d", writer, len(names)))
		if _, err := client.StageBlock(ctx, name, bodyOf(c.section(offset, size)), &blockblob.StageBlockOptions{
			TransactionalValidation: blob.TransferValidationTypeMD5(sums.md5),
		}); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, c.verify(whole)
}

// bodyOf lets the library rewind what it sends, and close nothing.
func bodyOf(section *io.SectionReader) io.ReadSeekCloser { return streaming.NopCloser(section) }

func headersOf(c content, md5 []byte) *blob.HTTPHeaders {
	return &blob.HTTPHeaders{BlobContentType: new(orBinary(c.mediaType)), BlobContentMD5: md5}
}

func metadataOf(c content) map[string]*string {
	return map[string]*string{metadataSHA256: new(c.sha256)}
}

// onlyNew is the condition that there is nothing yet.
func onlyNew() *blob.AccessConditions {
	return &blob.AccessConditions{ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: new(azcore.ETagAny)}}
}
