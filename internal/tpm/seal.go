package tpm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// MaxSecret is how much may be sealed (MAX_SYM_DATA of TPM 2.0 Library, Part 2,
// annex B, is 128).
const MaxSecret = 128

// maxBlob bounds what Unseal reads.
const maxBlob = 4 << 10

// nonceSize of a session: that of its hash at most.
const nonceSize = 16

// ErrSealed is wrapped where this TPM, as it is now, does not open what was
// sealed.
var ErrSealed = errors.New("this TPM does not open what was sealed: it is another one or was cleared, the sealed file was altered, or the machine was started otherwise than its policy asks")

// blob is what is kept on the disk. Nothing in it is secret.
type blob struct {
	V       int    `json:"v"`
	Parent  []byte `json:"parent"` // name of the storage root key
	PCRs    []int  `json:"pcrs,omitempty"`
	Public  []byte `json:"public"`
	Private []byte `json:"private"`
}

const blobVersion = 1

// Seal has the TPM at path seal a secret, which Unseal then opens: always on
// this TPM, or with registers named as long as these keep their values. It
// opens it once before it returns.
func Seal(ctx context.Context, path string, secret []byte, pcrs []int) ([]byte, error) {
	if len(secret) == 0 || len(secret) > MaxSecret {
		return nil, fmt.Errorf("TPM %s: a secret of %d bytes: 1 to %d can be sealed", path, len(secret), MaxSecret)
	}
	return use(ctx, path, func(t transport.TPM) ([]byte, error) {
		out, err := seal(t, secret, pcrs)
		if err != nil {
			return nil, err
		}
		again, err := unseal(t, out)
		defer clear(again)
		if err == nil && !bytes.Equal(again, secret) {
			err = errors.New("it opens something else than was sealed")
		}
		return out, err
	})
}

// Unseal opens what Seal made. The caller clears it. The error is ErrSealed
// where the TPM works and refuses.
func Unseal(ctx context.Context, path string, sealed []byte) ([]byte, error) {
	return use(ctx, path, func(t transport.TPM) ([]byte, error) { return unseal(t, sealed) })
}

func seal(t transport.TPM, secret []byte, pcrs []int) ([]byte, error) {
	root, err := storageRoot(t)
	if err != nil {
		return nil, err
	}
	defer root.flush(t)
	public := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		// With a policy the policy alone opens it.
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, NoDA: true, UserWithAuth: len(pcrs) == 0},
	}
	if len(pcrs) > 0 {
		if public.AuthPolicy.Buffer, err = policyDigest(t, pcrs); err != nil {
			return nil, err
		}
	}
	made, err := tpm2.Create{
		ParentHandle: root.auth(),
		InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
			Data: tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: secret})}},
		InPublic: tpm2.New2B(public),
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return json.Marshal(blob{V: blobVersion, Parent: root.name.Buffer, PCRs: slices.Clone(pcrs),
		Public: tpm2.Marshal(made.OutPublic), Private: tpm2.Marshal(made.OutPrivate)})
}

func unseal(t transport.TPM, sealed []byte) ([]byte, error) {
	var b blob
	if len(sealed) > maxBlob || json.Unmarshal(sealed, &b) != nil || b.V != blobVersion {
		return nil, fmt.Errorf("%w (no file of this program's)", ErrSealed)
	}
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](b.Public)
	if err != nil {
		return nil, fmt.Errorf("%w (its public part)", ErrSealed)
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](b.Private)
	if err != nil {
		return nil, fmt.Errorf("%w (its private part)", ErrSealed)
	}
	root, err := storageRoot(t)
	if err != nil {
		return nil, err
	}
	defer root.flush(t)
	if !bytes.Equal(root.name.Buffer, b.Parent) {
		return nil, fmt.Errorf("%w (it has another storage root key)", ErrSealed)
	}
	loaded, err := tpm2.Load{ParentHandle: root.auth(), InPrivate: *private, InPublic: *public}.Execute(t)
	if err != nil {
		return nil, opened(err)
	}
	defer flush(t, loaded.ObjectHandle)
	session, end, err := root.opening(t, b.PCRs)
	if err != nil {
		return nil, opened(err)
	}
	defer end()
	got, err := tpm2.Unseal{ItemHandle: tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: session}}.Execute(t)
	if err != nil {
		return nil, opened(err)
	}
	return got.OutData.Buffer, nil
}

// opened tells what the TPM refuses from a TPM that cannot be spoken to.
func opened(err error) error {
	var code tpm2.TPMRC
	if errors.As(err, &code) {
		return fmt.Errorf("%w (%w)", ErrSealed, err)
	}
	return err
}
