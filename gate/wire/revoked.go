package wire

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// fileRevoked holds central's list of revoked certificates, beside the bundle.
const fileRevoked = "revoked.pem"

// ErrRevoked: the certificate that a broker shows is on central's list of
// revoked ones.
var ErrRevoked = errors.New("the certificate is on central's list of revoked ones")

// maxRevokedFile bounds a list: some 30,000 certificates.
const maxRevokedFile = 1 << 20

// InstallRevoked puts central's list of revoked certificates (RFC 5280,
// section 5) in force on a kiosk and says how many there are. It must be signed
// by the CA of the bundle in force and be no older than the one before. It
// counts from the next connection on.
func InstallRevoked(dir string, data []byte) (int, error) {
	id, err := LoadIdentity(dir)
	if err != nil {
		return 0, err
	}
	list, err := id.parseRevoked(data)
	if err != nil {
		return 0, err
	}
	before, err := id.revoked()
	if err != nil {
		return 0, err
	}
	if before != nil && list.Number.Cmp(before.Number) < 0 {
		return 0, errors.New("the list of revoked certificates is older than the one in force: fetch the newest from central")
	}
	return len(list.RevokedCertificateEntries), writePrivate(filepath.Join(dir, fileRevoked), data)
}

// parseRevoked reads a list and proves that it is this kiosk's central's.
func (id *Identity) parseRevoked(data []byte) (*x509.RevocationList, error) {
	block, _ := pem.Decode(data)
	if len(data) > maxRevokedFile || block == nil || block.Type != "X509 CRL" {
		return nil, errors.New("no list of revoked certificates in PEM: make it with `gatectl kiosk crl` at central")
	}
	list, err := x509.ParseRevocationList(block.Bytes)
	if err == nil && list.Number == nil {
		err = errors.New("it has no number")
	}
	if err == nil {
		err = list.CheckSignatureFrom(id.ca)
	}
	if err != nil {
		return nil, fmt.Errorf("list of revoked certificates: %w: fetch it from the central that this kiosk is enrolled at", err)
	}
	return list, nil
}

// revoked reads the list in force; nil when there is none.
func (id *Identity) revoked() (*x509.RevocationList, error) {
	if id.dir == "" {
		return nil, nil
	}
	path := filepath.Join(id.dir, fileRevoked)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	list, err := id.parseRevoked(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// notRevoked refuses a broker whose certificate is on the list in force. It is
// read at each connection: a list that was installed counts at once, and one
// that cannot be read lets nobody through.
func (id *Identity) notRevoked(cs tls.ConnectionState) error {
	list, err := id.revoked()
	if err != nil || list == nil {
		return err
	}
	for _, c := range cs.PeerCertificates {
		for i := range list.RevokedCertificateEntries {
			if list.RevokedCertificateEntries[i].SerialNumber.Cmp(c.SerialNumber) == 0 {
				return fmt.Errorf("certificate of %s, number %s: %w", c.Subject.CommonName, c.SerialNumber.Text(16), ErrRevoked)
			}
		}
	}
	return nil
}
