package main

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// mutant is one change of a source file.
type mutant struct {
	place
	number     int    // of the line, from 1
	source     []byte // of the unchanged file
	start, end int    // offsets of the text that is replaced
	text       string // what replaces it
}

// place identifies a change independently of line numbers.
type place struct {
	file   string // path from the root of the repository
	line   string // text of the line, without spaces around it
	change string // for example "< to <="
	nth    int    // from 0, in a file with several equal lines and changes
}

// operators contains what replaces each operator or keyword.
var operators = map[token.Token][]token.Token{
	token.LSS: {token.LEQ, token.GEQ},
	token.LEQ: {token.LSS, token.GTR},
	token.GTR: {token.GEQ, token.LEQ},
	token.GEQ: {token.GTR, token.LSS},
	token.EQL: {token.NEQ},
	token.NEQ: {token.EQL},

	token.LAND: {token.LOR},
	token.LOR:  {token.LAND},

	token.ADD: {token.SUB},
	token.SUB: {token.ADD},
	token.MUL: {token.QUO},
	token.QUO: {token.MUL},
	token.REM: {token.MUL},

	token.AND:     {token.OR},
	token.OR:      {token.AND},
	token.XOR:     {token.AND},
	token.AND_NOT: {token.AND},
	token.SHL:     {token.SHR},
	token.SHR:     {token.SHL},

	token.INC:        {token.DEC},
	token.DEC:        {token.INC},
	token.ADD_ASSIGN: {token.SUB_ASSIGN, token.ASSIGN},
	token.SUB_ASSIGN: {token.ADD_ASSIGN, token.ASSIGN},
	token.MUL_ASSIGN: {token.QUO_ASSIGN, token.ASSIGN},
	token.QUO_ASSIGN: {token.MUL_ASSIGN, token.ASSIGN},
	token.OR_ASSIGN:  {token.AND_ASSIGN, token.ASSIGN},
	token.AND_ASSIGN: {token.OR_ASSIGN, token.ASSIGN},

	token.BREAK:    {token.CONTINUE},
	token.CONTINUE: {token.BREAK},
}

// finder collects the mutants of a file.
type finder struct {
	file    string
	source  []byte
	lines   []string
	set     *token.FileSet
	mutants []mutant
}

// mutantsOf returns the mutants of a file in the order of their positions. Some of them
// may not compile.
func mutantsOf(file string, source []byte) ([]mutant, error) {
	f := finder{file: file, source: source, lines: strings.Split(string(source), "\n"), set: token.NewFileSet()}
	parsed, err := parser.ParseFile(f.set, file, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	ast.Inspect(parsed, f.visit)
	slices.SortStableFunc(f.mutants, func(a, b mutant) int { return a.start - b.start })
	seen := map[place]int{}
	for i := range f.mutants {
		key := f.mutants[i].place
		f.mutants[i].nth = seen[key]
		seen[key]++
	}
	return f.mutants, nil
}

func (f *finder) visit(node ast.Node) bool {
	switch node := node.(type) {
	case *ast.BinaryExpr:
		f.operator(node.OpPos, node.Op)
		if node.Op == token.LAND || node.Op == token.LOR {
			f.condition(node.X)
			f.condition(node.Y)
		}
	case *ast.AssignStmt:
		f.operator(node.TokPos, node.Tok)
	case *ast.IncDecStmt:
		f.operator(node.TokPos, node.Tok)
	case *ast.BranchStmt:
		f.operator(node.TokPos, node.Tok)
	case *ast.UnaryExpr:
		if node.Op == token.NOT || node.Op == token.SUB {
			f.add(node.OpPos, node.X.Pos(), "", node.Op.String()+" removed")
		}
	case *ast.IfStmt:
		f.condition(node.Cond)
	case *ast.ForStmt:
		f.condition(node.Cond)
	case *ast.SwitchStmt:
		f.cases(node)
	case *ast.ExprStmt:
		f.add(node.Pos(), node.End(), "", "removed")
	}
	return true
}

// operator adds the mutants of an operator or keyword.
func (f *finder) operator(at token.Pos, was token.Token) {
	for _, other := range operators[was] {
		f.add(at, at+token.Pos(len(was.String())), other.String(), was.String()+" to "+other.String())
	}
}

// condition negates a condition without an operator. The operators of other conditions
// have mutants already.
func (f *finder) condition(expression ast.Expr) {
	switch expression.(type) {
	case *ast.Ident, *ast.SelectorExpr, *ast.CallExpr:
		f.add(expression.Pos(), expression.Pos(), "!", "! added")
	}
}

// cases negates the conditions of a switch without a value.
func (f *finder) cases(node *ast.SwitchStmt) {
	if node.Tag != nil {
		return
	}
	for _, statement := range node.Body.List {
		for _, expression := range statement.(*ast.CaseClause).List { //nolint:errcheck // a switch has only clauses
			f.condition(expression)
		}
	}
}

func (f *finder) add(from, to token.Pos, text, change string) {
	start := f.set.Position(from)
	f.mutants = append(f.mutants, mutant{
		place:  place{file: f.file, line: strings.TrimSpace(f.lines[start.Line-1]), change: change},
		number: start.Line,
		source: f.source,
		start:  start.Offset,
		end:    f.set.Position(to).Offset,
		text:   text,
	})
}

// apply returns the source of the file with the change.
func (m mutant) apply() []byte {
	return slices.Concat(m.source[:m.start], []byte(m.text), m.source[m.end:])
}

// find returns the mutants of an argument, which is a directory, a file, or FILE:LINE,
// and the directory of their package. Files that this machine does not compile have no
// mutants.
func find(root, argument string) (mutants []mutant, dir string, err error) {
	file, line, _ := strings.Cut(argument, ":")
	file = path.Clean(file)
	if dir = file; strings.HasSuffix(file, ".go") {
		dir = path.Dir(file)
	}
	source, err := build.ImportDir(filepath.Join(root, dir), 0)
	if err != nil {
		return nil, "", err
	}
	for _, name := range source.GoFiles {
		text, err := os.ReadFile(filepath.Join(root, dir, name)) //nolint:gosec // the user names the package
		if err != nil {
			return nil, "", err
		}
		of, err := mutantsOf(path.Join(dir, name), text)
		if err != nil {
			return nil, "", err
		}
		for _, m := range of {
			if (file == dir || file == m.file) && (line == "" || line == strconv.Itoa(m.number)) {
				mutants = append(mutants, m)
			}
		}
	}
	return mutants, dir, nil
}
