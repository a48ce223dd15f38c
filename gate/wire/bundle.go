package wire

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"time"
)

// EnrolVersion is the version of Request.
const EnrolVersion = 1

// BundleVersion is the version of Bundle; 1 had no key to seal results to, 2
// one key of document references that never changed, 3 neither list secrets
// nor a root.
const BundleVersion = 4

// bundleNoSecrets is the version before, which is still read: list secrets and
// root come by other ways.
const bundleNoSecrets = 3

// bundleOneKey is still read as well: its kiosk makes no references until
// central has sent it keys.
const bundleOneKey = 2

// CentralName is the common name of central's own client certificate. No
// kiosk may carry it.
const CentralName = "central"

// maxEnrolFile bounds a request or bundle that is read from a file.
const maxEnrolFile = 256 << 10

// CheckKioskName refuses a name that no kiosk may be enrolled under: one that
// CheckName refuses, or central's own.
func CheckKioskName(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if name == CentralName {
		return fmt.Errorf("kiosk name %q is reserved for central itself: choose another", name)
	}
	return nil
}

// Request is what a kiosk asks central to enrol. It holds public keys alone;
// the keys are made on the kiosk and never leave it.
type Request struct {
	V          int       `json:"v"`
	Kiosk      string    `json:"kiosk"`
	CSR        string    `json:"csr"`         // PEM, PKCS #10 over the TLS key
	SigningKey []byte    `json:"signing_key"` // Ed25519 public key for batches of results
	SealKey    []byte    `json:"seal_key"`    // X25519 public key to which secrets in the bundle are sealed
	At         time.Time `json:"at"`
	Sig        []byte    `json:"sig"` // by SigningKey over all of the above
}

func (r *Request) signed() []byte {
	return enrolInput("request/v1", []byte(r.Kiosk), []byte(r.CSR), r.SigningKey, r.SealKey,
		[]byte(r.At.UTC().Format(time.RFC3339Nano)))
}

// ParseRequest reads a request and proves that its sender holds the keys.
func ParseRequest(b []byte) (*Request, error) {
	if len(b) > maxEnrolFile {
		return nil, fmt.Errorf("kiosk request has %d bytes, at most %d are read: this is no request", len(b), maxEnrolFile)
	}
	var r Request
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("kiosk request is not JSON (make it with `gatectl kiosk request`): %w", err)
	}
	if r.V != EnrolVersion {
		return nil, fmt.Errorf("kiosk request has version %d, this program reads version %d: use the same release on both sides", r.V, EnrolVersion)
	}
	if err := CheckKioskName(r.Kiosk); err != nil {
		return nil, err
	}
	if len(r.SigningKey) != ed25519.PublicKeySize || !ed25519.Verify(r.SigningKey, r.signed(), r.Sig) {
		return nil, fmt.Errorf("request of kiosk %s: its signature is wrong; the file was altered, make it again on the kiosk", r.Kiosk)
	}
	if _, err := ecdh.X25519().NewPublicKey(r.SealKey); err != nil {
		return nil, fmt.Errorf("request of kiosk %s: seal key: %w", r.Kiosk, err)
	}
	if _, err := r.ParseCSR(); err != nil {
		return nil, err
	}
	return &r, nil
}

// ParseCSR gives the certificate request inside, its signature checked and
// its name equal to the kiosk's.
func (r *Request) ParseCSR() (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(r.CSR))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("request of kiosk %s: csr is no PEM certificate request", r.Kiosk)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("request of kiosk %s: %w", r.Kiosk, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("request of kiosk %s: %w", r.Kiosk, err)
	}
	if csr.Subject.CommonName != r.Kiosk {
		return nil, fmt.Errorf("request of kiosk %s: its certificate request names %q", r.Kiosk, csr.Subject.CommonName)
	}
	if _, ok := csr.PublicKey.(*ecdsa.PublicKey); !ok {
		return nil, fmt.Errorf("request of kiosk %s: its TLS key is not ECDSA", r.Kiosk)
	}
	return csr, nil
}

// Bundle is what central hands to an enrolled kiosk, one file. Nothing in it
// is secret: document keys and list secrets are sealed to the kiosk.
type Bundle struct {
	V           int       `json:"v"`
	Kiosk       string    `json:"kiosk"`
	Issued      time.Time `json:"issued"`
	Certificate string    `json:"certificate"`            // PEM, the kiosk's TLS client certificate
	CA          string    `json:"ca"`                     // PEM, central's CA
	Broker      []string  `json:"broker"`                 // tls://host:port, in order of preference
	AckKey      []byte    `json:"ack_key"`                // Ed25519 public key of central's acknowledgements
	ListKeys    [][]byte  `json:"list_keys"`              // Ed25519 public keys that may sign allowlists
	DocKeys     []byte    `json:"record_key"`             // sealed, see DocKeySet.Seal
	SealingKey  []byte    `json:"sealing_key"`            // central's, to which results are sealed; see SealKey.Bytes
	ListSecrets []byte    `json:"list_secrets,omitempty"` // sealed, see ListSecretSet.Seal
	Root        []byte    `json:"root,omitempty"`         // first root of the update repository
	Sig         []byte    `json:"sig"`                    // by AckKey over all of the above
}

func (b *Bundle) signed() []byte {
	parts := [][]byte{[]byte(b.Kiosk), []byte(b.Issued.UTC().Format(time.RFC3339Nano)),
		[]byte(b.Certificate), []byte(b.CA), b.AckKey, b.DocKeys, b.SealingKey}
	if b.V > bundleNoSecrets {
		parts = append(parts, b.ListSecrets, b.Root)
	}
	parts = append(parts, binary.BigEndian.AppendUint32(nil, uint32(len(b.Broker))))
	for _, addr := range b.Broker {
		parts = append(parts, []byte(addr))
	}
	return enrolInput(fmt.Sprintf("bundle/v%d", b.V), append(parts, b.ListKeys...)...)
}

// Sign completes the bundle with central's signature.
func (b *Bundle) Sign(ack ed25519.PrivateKey) {
	b.AckKey = []byte(ack.Public().(ed25519.PublicKey))
	b.Sig = ed25519.Sign(ack, b.signed())
}

// ParseBundle reads a bundle and checks that it is whole: its signature is
// right under the acknowledgement key that it carries itself. Whether that
// key is central's is the technician's trust on the first installation.
func ParseBundle(data []byte) (*Bundle, error) {
	if len(data) > maxEnrolFile {
		return nil, fmt.Errorf("kiosk bundle has %d bytes, at most %d are read: this is no bundle", len(data), maxEnrolFile)
	}
	var b Bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("kiosk bundle is not JSON (make it with `gatectl kiosk add`): %w", err)
	}
	if b.V == 1 {
		return nil, fmt.Errorf("the bundle for kiosk %s is from a time when results were not sealed: make it again at central with `gatectl kiosk renew` and install it", clip(b.Kiosk))
	}
	if b.V > BundleVersion || b.V < bundleOneKey {
		return nil, fmt.Errorf("kiosk bundle has version %d, this program reads version %d: use the same release on both sides", b.V, BundleVersion)
	}
	if err := CheckKioskName(b.Kiosk); err != nil {
		return nil, err
	}
	if len(b.AckKey) != ed25519.PublicKeySize || !ed25519.Verify(b.AckKey, b.signed(), b.Sig) {
		return nil, fmt.Errorf("bundle for kiosk %s: its signature is wrong; the file was altered, fetch it again from central", b.Kiosk)
	}
	if len(b.Broker) == 0 {
		return nil, fmt.Errorf("bundle for kiosk %s names no broker: make it again with --broker", b.Kiosk)
	}
	if _, err := ParseSealKey(b.SealingKey); err != nil {
		return nil, fmt.Errorf("bundle for kiosk %s: %w: make it again at central with `gatectl kiosk renew`", b.Kiosk, err)
	}
	if b.V <= bundleNoSecrets && len(b.ListSecrets)+len(b.Root) > 0 {
		return nil, fmt.Errorf("bundle for kiosk %s: version %d carries neither list secrets nor a root: the file was altered, fetch it again from central", b.Kiosk, b.V)
	}
	for i, k := range b.ListKeys {
		if len(k) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("bundle for kiosk %s: list key %d is no Ed25519 key", b.Kiosk, i+1)
		}
	}
	return &b, nil
}

// makeRequest signs a request for the keys of one kiosk.
func makeRequest(k *KioskKeys, at time.Time) (*Request, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: k.Name}, SignatureAlgorithm: x509.ECDSAWithSHA256}, k.TLS)
	if err != nil {
		return nil, fmt.Errorf("certificate request of kiosk %s: %w", k.Name, err)
	}
	r := &Request{V: EnrolVersion, Kiosk: k.Name, At: at.UTC().Truncate(time.Second),
		CSR:        string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})),
		SigningKey: []byte(k.Signing.Public().(ed25519.PublicKey)), SealKey: k.SealPub.Bytes()}
	r.Sig = ed25519.Sign(k.Signing, r.signed())
	return r, nil
}

// enrolInput joins a label and parts, each with its length before it, so
// that no two different inputs are signed alike.
func enrolInput(label string, parts ...[]byte) []byte {
	out := binary.BigEndian.AppendUint32(nil, uint32(len(label)))
	out = append(out, label...)
	for _, p := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = append(out, p...)
	}
	return out
}
