package house

import (
	"crypto/tls"
	"crypto/x509"
	"go/ast"
	"go/token"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateagent/central/enrol"
)

// programs are ours that ship, with the number of words that name one of
// their subcommands.
func programs() map[string]int {
	return map[string]int{"gatectl": 2, "gateagent": 1, "gatecentral": 1}
}

var (
	codeLine = regexp.MustCompile("(?m)^    (.*)$|`([^`\n]+)`")
	asUser   = regexp.MustCompile(`^sudo -u [a-z]+ `)
)

// commandLines finds calls of our programs in code.
func commandLines(page string) [][]string {
	var out [][]string
	for _, m := range codeLine.FindAllStringSubmatch(page, -1) {
		code, _, _ := strings.Cut(m[1]+m[2], "#")
		code, _, _ = strings.Cut(code, ">")
		f := strings.Fields(asUser.ReplaceAllString(code, ""))
		if len(f) > 1 && programs()[f[0]] > 0 {
			out = append(out, f)
		}
	}
	return out
}

// words gathers what the source of a command holds as text: names of
// subcommands and flags among it.
func words(tr *tree, command string) map[string]bool {
	out := map[string]bool{}
	for _, f := range tr.shipping() {
		if f.room != "cmd/"+command {
			continue
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				if s, err := strconv.Unquote(l.Value); err == nil {
					name, _, _ := strings.Cut(s, " ")
					out[name] = true
				}
			}
			return true
		})
	}
	return out
}

// commandFaults finds subcommands and flags on a page that a program does not
// have.
func commandFaults(known map[string]map[string]bool, page string) (found int, out []string) {
	for _, line := range commandLines(page) {
		found++
		program := line[0]
		for i, w := range line[1:] {
			flag, isFlag := strings.CutPrefix(w, "--")
			flag, _, _ = strings.Cut(flag, "=")
			switch {
			case isFlag && flag != "help" && !known[program][flag]:
				out = append(out, program+" has no flag --"+flag)
			case !isFlag && i < programs()[program] && !known[program][w]:
				out = append(out, program+" has no command "+w)
			}
		}
	}
	return found, out
}

// Every command and flag in the documents exists.
func TestCommandsOnPages(t *testing.T) {
	tr := loadTree(t)
	known := map[string]map[string]bool{}
	for c := range programs() {
		known[c] = words(tr, c)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, p := range append(pages, filepath.Join(root, "README.md")) {
		n, faults := commandFaults(known, readText(t, strings.TrimPrefix(p, root+"/")))
		total += n
		for _, f := range faults {
			t.Errorf("%s: %s", filepath.Base(p), f)
		}
	}
	if total < 20 {
		t.Errorf("only %d commands were found", total)
	}
	if _, got := commandFaults(known, "`gatectl kiosk adopt x.request --centre DIR`\n    sudo -u a gateagent read --cam 1\n"); len(got) != 3 {
		t.Errorf("on a wrong page these faults were found: %q", got)
	}
}

// The broker of the page starts as it stands there, with the files that
// central writes, and the access rules are those.
func TestBrokerOnPage(t *testing.T) {
	r := ok(enrol.Open(t.Context(), t.TempDir()))(t)
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	files := ok(r.BrokerFiles(t.Context(), []string{"127.0.0.1"}, time.Now()))(t)
	page := readText(t, "docs/operations.md")
	if !strings.Contains(page, "```acl\n"+string(files["acl"])+"```") {
		t.Errorf("docs/operations.md has other access rules than:\n%s", files["acl"])
	}
	block := confBlock.FindStringSubmatch(page)
	if block == nil {
		t.Fatal("docs/operations.md has no configuration of mosquitto")
	}
	dir, addr := t.TempDir(), freeAddress(t)
	conf := strings.ReplaceAll(block[1], "/etc/mosquitto/gate", dir)
	conf = strings.Replace(conf, "listener 8883", "user root\nlistener "+addr[strings.LastIndex(addr, ":")+1:]+" 127.0.0.1", 1)
	files["mosquitto.conf"] = []byte(conf)
	for name, data := range files {
		if name != "mosquitto.conf" && !strings.Contains(block[1], "/etc/mosquitto/gate/"+name+"\n") {
			t.Errorf("the configuration does not use %s", name)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const program = "/usr/sbin/mosquitto"
	if _, err := os.Stat(program); err != nil {
		t.Skip("mosquitto is not installed; scripts/setup installs it")
	}
	said := &safeBuffer{}
	cmd := exec.CommandContext(t.Context(), program, "-c", filepath.Join(dir, "mosquitto.conf"))
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(files["ca.pem"])
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13})
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			t.Fatalf("mosquitto does not serve with the configuration of the page: %v\n%s", err, said.bytes())
		}
	}
}

var confBlock = regexp.MustCompile("(?s)```conf\n(.*?)```")

func freeAddress(t *testing.T) string {
	t.Helper()
	l := ok(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	return l.Addr().String()
}

// link finds links between documents.
var link = regexp.MustCompile(`\]\(([^)#\s]*)(#[^)\s]*)?\)`)

// anchors are the links that headings give, as forges make them.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for line := range strings.Lines(page) {
		if h := strings.TrimLeft(line, "#"); h != line {
			h = strings.ToLower(strings.TrimSpace(h))
			h = regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(h, "")
			out["#"+strings.ReplaceAll(h, " ", "-")] = true
		}
	}
	return out
}

// Links between the documents lead somewhere.
func TestLinksOnPages(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(pages) < 5 {
		t.Fatalf("pages %q: %v", pages, err)
	}
	for _, p := range append(pages, filepath.Join(root, "README.md")) {
		for _, m := range link.FindAllStringSubmatch(readText(t, strings.TrimPrefix(p, root+"/")), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := p
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(p), m[1])
			}
			if found, _ := filepath.Glob(to); len(found) != 1 {
				t.Errorf("%s: %s leads nowhere", filepath.Base(p), m[1])
				continue
			}
			if m[2] != "" && !anchors(readText(t, strings.TrimPrefix(to, root+"/")))[m[2]] {
				t.Errorf("%s: there is no heading for %s%s", filepath.Base(p), m[1], m[2])
			}
		}
	}
	if a := anchors("# A page\n\n## What's up, doc?\n"); !a["#a-page"] || !a["#whats-up-doc"] || len(a) != 2 {
		t.Errorf("anchors of a made-up page: %v", a)
	}
}

// noticeSources finds what notices are about: the texts beside the level in
// calls of note and notice, in literals of type Notice, and constants whose
// name begins with source.
func noticeSources(tr *tree) map[string]string {
	out := map[string]string{}
	for _, f := range tr.shipping() {
		if below(f.room, "central") || below(f.room, "sim") || below(f.room, "cmd/gatesim") {
			continue
		}
		take := func(e ast.Expr) {
			if b, ok := e.(*ast.BinaryExpr); ok {
				e = b.X // "scanner " + path
			}
			l, ok := e.(*ast.BasicLit)
			if !ok || l.Kind != token.STRING {
				return
			}
			switch s, _ := strconv.Unquote(l.Value); s {
			case "", "info", "warning", "fault":
			default:
				out[strings.TrimSpace(s)] = f.path
			}
		}
		ast.Inspect(f.tree, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch fn := n.Fun.(type) {
				case *ast.Ident:
					name = fn.Name
				case *ast.SelectorExpr:
					name = fn.Sel.Name
				}
				if (name == "note" || name == "notice") && len(n.Args) >= 3 {
					take(n.Args[0])
					take(n.Args[1])
				}
			case *ast.CompositeLit:
				if typeName(n.Type) == "Notice" && len(n.Elts) == 3 {
					take(n.Elts[1])
					if kv, ok := n.Elts[1].(*ast.KeyValueExpr); ok {
						take(kv.Value)
					}
				}
			case *ast.ValueSpec:
				if strings.HasPrefix(n.Names[0].Name, "source") && len(n.Values) == 1 {
					take(n.Values[0])
				}
			}
			return true
		})
	}
	return out
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// Every notice that staff can see is explained.
func TestNoticesOnPage(t *testing.T) {
	explained := pageFields(section(readText(t, "docs/operations.md"), "## What the notices mean"))
	sources := noticeSources(loadTree(t))
	if len(sources) < 8 {
		t.Errorf("only these sources of notices were found: %v", sources)
	}
	for s, where := range sources {
		if !slices.Contains(explained, s) {
			t.Errorf("%s: notices of %q are not explained in docs/operations.md", where, s)
		}
	}
	for _, s := range explained {
		if sources[s] == "" {
			t.Errorf("docs/operations.md explains notices of %q, which nobody gives", s)
		}
	}
	made := parseTree(t, map[string]string{"web/w.go": `package web

const sourceA = "a"

var _ = []any{gate.Notice{Level: "info", Source: "b", Text: "t"}, Notice{"fault", "c", "t"}}

func f() { x.note("fault", "d "+p, "t"); y.notice("e", "", "", 0) }
`})
	if got := noticeSources(made); len(got) != 5 {
		t.Errorf("in made-up source these sources were found: %v", got)
	}
}
