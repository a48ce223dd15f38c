package chip

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"testing"

	"gateagent/internal/ber"
	"gateagent/internal/ec"
	"gateagent/internal/modp"
)

// example is a worked example of ICAO 9303-11 appendices G, H and I with the
// values as printed.
type example struct {
	Kind, Name             string
	Inputs, Steps, Outputs map[string]string
}

func examples(t *testing.T, kind string) example {
	t.Helper()
	raw, err := os.ReadFile("testdata/pace.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []example
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("no example of kind %s", kind)
	return example{}
}

// prepared is a chip in the middle of PACE: the password is the example's and
// its random numbers come as they are printed there.
func prepared(t *testing.T, p PACE, password string, random ...string) *Chip {
	t.Helper()
	c := New(Config{PACE: []PACE{p}, CAN: "123456"})
	c.random = bytes.NewReader(unhex(t, strings.Join(random, "")))
	d, ok := p.domain()
	if !ok {
		t.Fatal("the example's parameters are refused")
	}
	c.state.pace = &paceRun{PACE: p, static: d, password: unhex(t, password)}
	return c
}

func number(t *testing.T, s string) *big.Int { return new(big.Int).SetBytes(unhex(t, s)) }

// The chip authentication mapping, to the last byte of its answers. The
// static private key is not printed; it follows from the proof.
func TestWorkedExampleCAM(t *testing.T) {
	e := examples(t, "pace-cam-ecdh")
	curve, _ := ec.ByName("brainpoolP256r1")
	inverse := new(big.Int).ModInverse(number(t, e.Outputs["chip_authentication_data"]), curve.N)
	static := inverse.Mul(inverse, number(t, e.Inputs["chip_map_private"]))
	// The printed exponent is larger than the order, which a chip would not draw.
	private := number(t, e.Inputs["chip_private"])
	reduced := hex.EncodeToString(private.Mod(private, curve.N).FillBytes(make([]byte, 32)))
	c := prepared(t, PACE{Cipher: AES128, Curve: curve, ID: 13, Mapping: ChipAuthMapping, Static: static.Mod(static, curve.N)},
		e.Inputs["k_pi"], e.Inputs["nonce_s"], e.Inputs["chip_map_private"], reduced)
	if got := curve.Marshal(curve.BaseMult(static)); !strings.HasSuffix(strings.ToUpper(hex.EncodeToString(got)), e.Inputs["ca_public"]) {
		t.Errorf("static key %X", got)
	}
	for _, step := range []string{"get_nonce", "map_nonce", "key_agreement", "mutual_authentication"} {
		got := c.Process(unhex(t, e.Steps[step+"_command"]))
		want := strings.TrimSuffix(e.Steps[step+"_response"], "9000") + "9000"
		if hex.EncodeToString(got) != strings.ToLower(want) {
			t.Fatalf("%s: %X, not %s", step, got, want)
		}
	}
}

// The integrated mapping over an elliptic curve, to the last byte.
func TestWorkedExampleIM(t *testing.T) {
	e := examples(t, "pace-im-ecdh")
	curve, _ := ec.ByName("brainpoolP256r1")
	c := prepared(t, PACE{Cipher: AES128, Curve: curve, ID: 13, Mapping: IntegratedMapping}, e.Inputs["k_pi"], e.Inputs["nonce_s"], e.Inputs["chip_private"])
	general := func(cla byte, tag uint32, value string, answer uint32, want string) {
		t.Helper()
		data := ber.Make(0x7C)
		if tag != 0 {
			data = ber.Make(0x7C, ber.Make(tag, unhex(t, value)))
		}
		got := c.Process(append(append([]byte{cla, 0x86, 0, 0, byte(len(data))}, data...), 0))
		if !bytes.Equal(got, response(ber.Make(0x7C, ber.Make(answer, unhex(t, want))), swOK)) {
			t.Fatalf("data object %02X is answered %X, not %s", tag, got, want)
		}
	}
	general(0x10, 0, "", 0x80, e.Steps["nonce_z"])
	general(0x10, 0x81, e.Inputs["nonce_t"], 0x82, "")
	general(0x10, 0x83, "04"+e.Steps["terminal_public"], 0x84, "04"+e.Steps["chip_public"])
	general(0x00, 0x85, e.Outputs["t_ifd"], 0x86, e.Outputs["t_ic"])
}

// The integrated mapping modulo a prime: generator, secret and tokens. The
// printed exponent is as long as p, which a chip would not draw.
func TestWorkedExampleIMWithDH(t *testing.T) {
	e := examples(t, "pace-im-dh")
	group, _ := modp.ByID(0)
	p := PACE{Cipher: AES128, Mapping: IntegratedMapping}
	static, _ := newDomain(nil, group)
	mapped, err := static.integrated(AES128, unhex(t, e.Inputs["nonce_s"]), unhex(t, e.Inputs["nonce_t"]))
	if err != nil || mapped.g.Cmp(number(t, e.Steps["mapped_generator"])) != 0 {
		t.Fatalf("generator %X, %v", mapped.g, err)
	}
	k := number(t, e.Inputs["chip_private"])
	if got := mapped.power(mapped.g, k); got.Cmp(number(t, e.Steps["chip_public"])) != 0 {
		t.Errorf("public value %X", got)
	}
	secret, err := mapped.agree(k, unhex(t, e.Steps["terminal_public"]))
	if err != nil || !bytes.Equal(secret, unhex(t, e.Steps["shared_secret"])) {
		t.Fatalf("secret %X, %v", secret, err)
	}
	run := paceRun{PACE: p, static: static}
	if run.session, err = newSession(AES128, secret); err != nil {
		t.Fatal(err)
	}
	if got := run.token(unhex(t, e.Steps["terminal_public"])); !bytes.Equal(got, unhex(t, e.Outputs["t_ic"])) {
		t.Errorf("token %X", got)
	}
	if got := run.token(unhex(t, e.Steps["chip_public"])); !bytes.Equal(got, unhex(t, e.Outputs["t_ifd"])) {
		t.Errorf("the other's token %X", got)
	}
}

// A value of another order than q is refused.
func TestElementOrder(t *testing.T) {
	group, _ := modp.ByID(0)
	d, _ := newDomain(nil, group)
	for _, v := range []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(group.P, big.NewInt(1)), group.P, big.NewInt(2)} {
		if _, err := d.element(v.Bytes()); err == nil {
			t.Errorf("%X is taken for a public value", v)
		}
	}
}
