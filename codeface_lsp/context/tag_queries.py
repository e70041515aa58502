"""Tree-sitter queries for definitions, by grammar.

Each pattern captures the whole definition under its kind (see `tags.KINDS`) and its name as `name`; or a statement as
`branches`, whose own assignments are definitions, too: a pattern for these would take 10 ms to compile.
"""

from __future__ import annotations

_JS = """
(function_declaration name: (identifier) @name) @function
(generator_function_declaration name: (identifier) @name) @function
(method_definition name: (_) @name) @function
(program (lexical_declaration (variable_declarator name: (identifier) @name) @variable))
(program (variable_declaration (variable_declarator name: (identifier) @name) @variable))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name) @variable)))
"""
_TS = """
(class_declaration name: (type_identifier) @name) @class
(abstract_class_declaration name: (type_identifier) @name) @class
(interface_declaration name: (type_identifier) @name) @class
(enum_declaration name: (identifier) @name) @class
(type_alias_declaration name: (type_identifier) @name) @type
(internal_module name: (_) @name) @module
(method_signature name: (_) @name) @function
(abstract_method_signature name: (_) @name) @function
(function_signature name: (identifier) @name) @function
"""
_C = """
(function_definition declarator: (function_declarator declarator: (identifier) @name)) @function
(function_definition
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @function
(declaration declarator: (function_declarator declarator: (identifier) @name)) @function
(declaration
  declarator: (pointer_declarator declarator: (function_declarator declarator: (identifier) @name))) @function
(struct_specifier name: (type_identifier) @name body: (_)) @class
(union_specifier name: (type_identifier) @name body: (_)) @class
(enum_specifier name: (type_identifier) @name body: (_)) @class
(type_definition declarator: (type_identifier) @name) @type
(preproc_def name: (identifier) @name) @variable
(preproc_function_def name: (identifier) @name) @function
"""

QUERIES: dict[str, str] = {
    "python": """
(function_definition name: (identifier) @name) @function
(class_definition name: (identifier) @name) @class
(module (assignment left: [(identifier) @name (pattern_list (identifier) @name)]) @variable)
(module (assignment right: (assignment [left: (identifier) @name right: (assignment left: (identifier) @name)]))
  @variable)
(module (type_alias_statement left: (type (identifier) @name)) @type)
(module [(if_statement) (try_statement)] @branches)
""",
    "javascript": _JS + "(class_declaration name: (identifier) @name) @class",
    "typescript": _JS + _TS,
    "tsx": _JS + _TS,
    "go": """
(function_declaration name: (identifier) @name) @function
(method_declaration name: (field_identifier) @name) @function
(type_spec name: (type_identifier) @name) @class
(type_alias name: (type_identifier) @name) @type
(source_file (const_declaration (const_spec name: (identifier) @name) @variable))
(source_file (var_declaration (var_spec name: (identifier) @name) @variable))
""",
    "rust": """
(function_item name: (identifier) @name) @function
(function_signature_item name: (identifier) @name) @function
(struct_item name: (type_identifier) @name) @class
(enum_item name: (type_identifier) @name) @class
(union_item name: (type_identifier) @name) @class
(trait_item name: (type_identifier) @name) @class
(type_item name: (type_identifier) @name) @type
(mod_item name: (identifier) @name) @module
(macro_definition name: (identifier) @name) @function
(const_item name: (identifier) @name) @variable
(static_item name: (identifier) @name) @variable
""",
    "java": """
(method_declaration name: (identifier) @name) @function
(constructor_declaration name: (identifier) @name) @function
(class_declaration name: (identifier) @name) @class
(interface_declaration name: (identifier) @name) @class
(enum_declaration name: (identifier) @name) @class
(record_declaration name: (identifier) @name) @class
(field_declaration declarator: (variable_declarator name: (identifier) @name)) @variable
""",
    "c": _C,
    "cpp": _C
    + """
(function_definition declarator: (function_declarator declarator: (qualified_identifier) @name)) @function
(function_definition declarator: (function_declarator declarator: (field_identifier) @name)) @function
(field_declaration declarator: (function_declarator declarator: (field_identifier) @name)) @function
(class_specifier name: (type_identifier) @name body: (_)) @class
(namespace_definition name: (_) @name) @module
(alias_declaration name: (type_identifier) @name) @type
""",
    "csharp": """
(method_declaration name: (identifier) @name) @function
(constructor_declaration name: (identifier) @name) @function
(property_declaration name: (identifier) @name) @variable
(class_declaration name: (identifier) @name) @class
(struct_declaration name: (identifier) @name) @class
(interface_declaration name: (identifier) @name) @class
(enum_declaration name: (identifier) @name) @class
(record_declaration name: (identifier) @name) @class
(namespace_declaration name: (_) @name) @module
""",
    "ruby": """
(method name: (_) @name) @function
(singleton_method name: (_) @name) @function
(class name: (_) @name) @class
(module name: (_) @name) @module
(program (assignment left: (constant) @name) @variable)
""",
    "php": """
(function_definition name: (name) @name) @function
(method_declaration name: (name) @name) @function
(class_declaration name: (name) @name) @class
(interface_declaration name: (name) @name) @class
(trait_declaration name: (name) @name) @class
(enum_declaration name: (name) @name) @class
""",
    "kotlin": """
(function_declaration (simple_identifier) @name) @function
(class_declaration (type_identifier) @name) @class
(object_declaration (type_identifier) @name) @class
(source_file (property_declaration (variable_declaration (simple_identifier) @name)) @variable)
""",
    "swift": """
(function_declaration name: (simple_identifier) @name) @function
(class_declaration name: (_) @name) @class
(protocol_declaration name: (type_identifier) @name) @class
(protocol_function_declaration name: (simple_identifier) @name) @function
(typealias_declaration name: (type_identifier) @name) @type
""",
    "scala": """
(function_definition name: (identifier) @name) @function
(function_declaration name: (identifier) @name) @function
(class_definition name: (identifier) @name) @class
(object_definition name: (identifier) @name) @class
(trait_definition name: (identifier) @name) @class
(type_definition name: (type_identifier) @name) @type
""",
    "lua": """
(function_declaration name: (_) @name) @function
(assignment_statement (variable_list name: (_) @name) (expression_list value: (function_definition))) @function
""",
    "bash": "(function_definition name: (word) @name) @function",
    "sql": """
(create_table (object_reference) @name) @class
(create_view (object_reference) @name) @class
(create_function (object_reference) @name) @function
""",
    "haskell": """
(signature name: (variable) @name) @function
(function name: (variable) @name) @function
(class name: (name) @name) @class
(data_type name: (name) @name) @class
(newtype name: (name) @name) @class
(type_synomym name: (name) @name) @type
""",
    "julia": """
(function_definition (signature (call_expression (identifier) @name))) @function
(macro_definition (signature (call_expression (identifier) @name))) @function
(assignment (call_expression (identifier) @name) (operator)) @function
(struct_definition (type_head (identifier) @name)) @class
(abstract_definition (type_head (identifier) @name)) @class
(module_definition (identifier) @name) @module
(const_statement (assignment . (identifier) @name)) @variable
""",
    "elixir": """
(call target: (identifier) @_def
  (arguments (call target: (identifier) @name)) (#match? @_def "^def(p|macro|macrop)?$")) @function
(call target: (identifier) @_def (arguments (identifier) @name) (#match? @_def "^def(p|macro|macrop)?$")) @function
(call target: (identifier) @_def (arguments (alias) @name) (#match? @_def "^def(module|protocol|impl)$")) @class
""",
    "zig": """
(Decl (FnProto function: (IDENTIFIER) @name)) @function
(Decl (VarDecl (IDENTIFIER) @name)) @variable
""",
    "dart": """
(class_definition name: (identifier) @name) @class
(function_signature name: (identifier) @name) @function
(enum_declaration name: (identifier) @name) @class
""",
    "r": "(program (binary_operator lhs: (identifier) @name rhs: (function_definition)) @function)",
    "perl": """
(subroutine_declaration_statement name: (bareword) @name) @function
(package_statement name: (_) @name) @module
""",
    "ocaml": """
(value_definition (let_binding pattern: (value_name) @name)) @function
(module_definition (module_binding (module_name) @name)) @module
(type_definition (type_binding name: (type_constructor) @name)) @type
""",
    "objc": """
(function_definition declarator: (function_declarator declarator: (identifier) @name)) @function
(class_interface (identifier) @name) @class
(class_implementation (identifier) @name) @class
""",
    "erlang": "(fun_decl clause: (function_clause name: (atom) @name)) @function",
    "proto": """
(message (message_name) @name) @class
(service (service_name) @name) @class
(rpc (rpc_name) @name) @function
(enum (enum_name) @name) @class
""",
    "solidity": """
(contract_declaration name: (identifier) @name) @class
(function_definition name: (identifier) @name) @function
(struct_declaration name: (identifier) @name) @class
""",
    "groovy": "",
    "css": "",
    "markdown": "(atx_heading heading_content: (_) @name) @module",
    "toml": "(table (_) @name) @module",
    "make": "(rule (targets) @name) @function",
    "hcl": "",
}
