package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"text/template"

	"gateagent/internal/passhash"
	"gateagent/sim/kiosk"
)

// kioskConfig is the agent's configuration. Waits are short where nobody
// looks at the screen.
var kioskConfig = template.Must(template.New("config").Parse(`# The demo's kiosk.
[gate]
name = "{{.Gate}}"
zone = "Asia/Ho_Chi_Minh"

[state]
dir = '{{.Dir}}/kiosk'
runtime = '{{.Dir}}/kiosk/run'

[policy]
name = "demo"
{{if .Pack}}face = "required"

[face]
legal_basis = "{{.Basis}}"
source = "page"
pack = '{{.Pack}}'
pack_hash = "{{.PackHash}}"
library = '{{.Library}}'
demo = true
{{if .Asks}}attack = "required"
challenge = "turn"
limit = "10s"
{{else}}attack = "evaluatory"
limit = "6s"
{{end}}consent = "6s"
{{else}}face = "off"
{{end}}
[clock]
source = "assume"

[reader]
name = "Virtual PCD 00 00"

[[scanner]]
path = '{{.Dir}}/dev/scanner'
framing = "line"

[[scanner]]
path = '{{.Dir}}/dev/mrz-reader'
framing = "stx_etx"

[barrier]
path = '{{.Dir}}/dev/relay'
profile = "modbus"
active = "energised_opens"
pulse = "{{.Pulse}}"
passage = "3s"
address = 1
relay = 1
input = 1

[trust]
dir = '{{.Dir}}/trust'

[list]
dir = '{{.Dir}}/incoming'

[update]
root = '{{.Root}}'
airport = "{{.Airport}}"
mirrors = ["{{.Mirror}}"]

[web]
listen = "{{.Page}}"

[[staff.operator]]
name = "{{.Operator}}"
pin = "{{.PIN}}"

[timing]
outcome = "{{.Outcome}}"
`))

func (s *site) writeConfig() error {
	f, err := os.OpenFile(s.path("gateagent.toml"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	asks := ""
	if s.asks {
		asks = "yes"
	}
	values := map[string]string{
		"Gate": gateName, "Dir": s.dir, "Page": s.pageAddr, "Operator": operatorName,
		"PIN": passhash.Hash([]byte(s.pin)), "Pulse": "200ms", "Outcome": "1s",
		"Basis": legalBasis, "Asks": asks,
		"Root": s.repo.Root(), "Airport": airport, "Mirror": kiosk.Mirror(s.updates),
	}
	if !s.o.once {
		values["Pulse"], values["Outcome"] = "500ms", "4s"
	}
	if m := s.models; m != nil {
		values["Pack"], values["PackHash"], values["Library"] = m.pack, m.hash, m.library
	}
	return kioskConfig.Execute(f, values)
}

// models are the model pack and the runtime that the kiosk uses.
type models struct {
	pack, hash, library string
}

// findModels looks for what scripts/setup installed. A real kiosk's
// configuration is told the pack's hash by whoever imported it.
func findModels(o options) (*models, error) {
	m := &models{pack: o.pack, library: filepath.Join(o.models, "onnxruntime", "libonnxruntime.so")}
	if m.pack == "" {
		m.pack = filepath.Join(o.models, "demo")
	}
	for _, p := range []*string{&m.pack, &m.library} {
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, err
		}
		*p = abs
	}
	manifest, err := os.ReadFile(filepath.Join(m.pack, "pack.json"))
	if err == nil {
		_, err = os.Stat(m.library)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: run scripts/setup, or name the folders with --models and --pack", err)
	}
	sum := sha256.Sum256(manifest)
	m.hash = hex.EncodeToString(sum[:])
	return m, nil
}
