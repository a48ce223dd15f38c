package tpm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
	"golang.org/x/sys/unix"
)

// patience bounds all of a Seal or Unseal: a TPM takes a second or two at most,
// unless another program has it.
const patience = 20 * time.Second

// use opens the device, or the socket of a TPM in software, and works with it.
func use(ctx context.Context, path string, work func(transport.TPM) ([]byte, error)) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rw, err := dial(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("TPM %s: %w", path, err)
	}
	type result struct {
		out []byte
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := work(transport.FromReadWriter(rw))
		done <- result{out, errors.Join(err, rw.Close())}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done():
		// What waits for the TPM ends with it; to close the device would block.
		r.err = fmt.Errorf("it does not answer: %w", ctx.Err())
	}
	if r.err != nil {
		clear(r.out)
		return nil, fmt.Errorf("TPM %s: %w", path, r.err)
	}
	return r.out, nil
}

// dial opens the device; one that another program has is waited for.
func dial(ctx context.Context, path string) (io.ReadWriteCloser, error) {
	for {
		rw, err := dialOnce(ctx, path)
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY) {
			return rw, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func dialOnce(ctx context.Context, path string) (io.ReadWriteCloser, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.Mode()&os.ModeSocket != 0:
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", path)
		if err != nil {
			return nil, err
		}
		end, _ := ctx.Deadline()
		return conn, conn.SetDeadline(end)
	case info.Mode()&os.ModeCharDevice == 0:
		return nil, errors.New("it is neither a device nor a socket")
	}
	return os.OpenFile(path, os.O_RDWR, 0)
}

// parent is the storage root key, made for one use.
type parent struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public tpm2.TPMTPublic
}

func storageRoot(t transport.TPM) (*parent, error) {
	made, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("make the storage root key: %w", err)
	}
	p := &parent{handle: made.ObjectHandle}
	public, err := made.OutPublic.Contents()
	if err == nil {
		p.public = *public
		var name *tpm2.TPM2BName
		// Computed here: the name that the TPM says is no proof of the key.
		if name, err = tpm2.ObjectName(public); err == nil {
			p.name = *name
		}
	}
	if err != nil {
		flush(t, p.handle)
		return nil, fmt.Errorf("storage root key: %w", err)
	}
	return p, nil
}

// auth authorises a command on the key in a session of its own, whose first
// parameter is encrypted.
func (p *parent) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: p.handle, Name: p.name,
		Auth: tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, tpm2.Salted(p.handle, p.public), tpm2.AESEncryption(128, tpm2.EncryptIn))}
}

func (p *parent) flush(t transport.TPM) { flush(t, p.handle) }

// flush lets go of an object; the kernel's resource manager does so at the
// latest when the device is closed.
func flush(t transport.TPM, h tpm2.TPMHandle) { _, _ = tpm2.FlushContext{FlushHandle: h}.Execute(t) }

// opening is the session in which a sealed object is opened.
func (p *parent) opening(t transport.TPM, pcrs []int) (tpm2.Session, func(), error) {
	secret := []tpm2.AuthOption{tpm2.Salted(p.handle, p.public), tpm2.AESEncryption(128, tpm2.EncryptOut)}
	if len(pcrs) == 0 {
		return tpm2.HMAC(tpm2.TPMAlgSHA256, nonceSize, secret...), func() {}, nil
	}
	s, end, err := tpm2.PolicySession(t, tpm2.TPMAlgSHA256, nonceSize, secret...)
	if err != nil {
		return nil, nil, err
	}
	if _, err := (tpm2.PolicyPCR{PolicySession: s.Handle(), Pcrs: selection(pcrs)}).Execute(t); err != nil {
		return nil, nil, errors.Join(err, end())
	}
	return s, func() { _ = end() }, nil
}

func selection(pcrs []int) tpm2.TPMLPCRSelection {
	var all []uint
	for _, n := range pcrs {
		all = append(all, uint(n))
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(all...)}}}
}

// policyDigest is that of the registers' values now.
func policyDigest(t transport.TPM, pcrs []int) ([]byte, error) {
	sorted := slices.Sorted(slices.Values(pcrs))
	h := sha256.New()
	for _, n := range sorted {
		got, err := tpm2.PCRRead{PCRSelectionIn: selection([]int{n})}.Execute(t)
		if err != nil {
			return nil, fmt.Errorf("read register %d: %w", n, err)
		}
		if len(got.PCRValues.Digests) != 1 {
			return nil, fmt.Errorf("register %d: the TPM has none with SHA-256", n)
		}
		h.Write(got.PCRValues.Digests[0].Buffer)
	}
	calc, err := tpm2.NewPolicyCalculator(tpm2.TPMAlgSHA256)
	if err != nil {
		return nil, err
	}
	p := tpm2.PolicyPCR{PcrDigest: tpm2.TPM2BDigest{Buffer: h.Sum(nil)}, Pcrs: selection(sorted)}
	if err := p.Update(calc); err != nil {
		return nil, err
	}
	return calc.Hash().Digest, nil
}
