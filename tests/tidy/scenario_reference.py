#!/usr/bin/env python3
"""Makes the tables of docs/scenario-reference.md from scenarios/schema.json (see generated.py).

Examples are taken from scenarios that the tests read: tests/scenarios/good/all-keys.yaml, which uses
every key, then the library. A key without a meaning is an error.
Exit code 77 if python3-yaml is missing: ctest shows the test as skipped.
"""
import glob
import json
import os
import sys

import generated

try:
    import yaml
except ImportError as missing:
    print(f'skipped: {missing}')
    sys.exit(77)

# Top-level part -> its sections, in the order of the document.
PARTS = (
    ('The file', ['scenario']),
    ('underlay', ['underlay', 'leaf_spine', 'link_keys', 'link', 'ecn', 'ecmp', 'hypervisors',
                  'node']),
    ('overlay', ['overlay', 'caches', 'classifier', 'slow_path', 'connections', 'timeouts',
                 'endpoint', 'control']),
    ('tcp', ['tcp']),
    ('tenants', ['tenant', 'network', 'router', 'group', 'vm', 'policy', 'policy_rule',
                 'policy_match']),
    ('traffic', ['traffic', 'pairs', 'ping', 'udp', 'bulk', 'rpc', 'scan']),
    ('events', ['event', 'migrate', 'fail', 'heal', 'controller_event', 'policy_event', 'intent_event', 'intent_change']),
    ('capture', ['capture']),
    ('expect', ['expect_migration', 'expect_traffic', 'expect_link', 'expect_caches',
                'expect_drops', 'expect_controller', 'bounds', 'window']),
    ('never', ['never']),
)
UNITS = ('duration', 'rate', 'bytes', 'bytes_per_second', 'frequency', 'probability', 'name',
         'address', 'address_with_length', 'prefix', 'mac')
# Known to the reader, which refuses them with a better message than "unknown key".
REFUSED = {(f'expect_{subject}', 'dropped_by')
           for subject in ('migration', 'link', 'caches', 'drops', 'controller')}


def load():
    with open(os.path.join(generated.ROOT, 'scenarios/schema.json'), encoding='utf-8') as file:
        schema = json.load(file)
    sections = {'scenario': schema, **schema['$defs']}
    placed = [s for _, names in PARTS for s in names]
    missing = [s for s, d in sections.items() if 'properties' in d and s not in placed]
    if missing:
        raise SystemExit(f'PARTS has no place for {", ".join(missing)}')
    return sections


def reference(node):
    return node['$ref'].rsplit('/', 1)[1] if '$ref' in node else None


# --- types ------------------------------------------------------------------------------------------


def link(section):
    return f'[{section}](#{section.replace("_", "-")})'


def one_type(node):
    if '$ref' in node:
        name = reference(node)
        return f'[{name.replace("_", " ")}](#units)' if name in UNITS else link(name)
    if 'enum' in node:
        return ', '.join(f'`{json.dumps(v) if isinstance(v, bool) else v}`' for v in node['enum'])
    for choice in ('anyOf', 'oneOf'):
        if choice in node:
            kinds = [one_type(n) for n in node[choice]]
            if any('bounds' in k for k in kinds):
                kinds = [k if 'bounds' not in k else f'{link("bounds")} of it' for k in kinds]
            return ' or '.join(dict.fromkeys(kinds))
    if 'allOf' in node:
        return ' and '.join(dict.fromkeys(filter(None, (one_type(n) for n in node['allOf']))))
    kind = node.get('type', 'any')
    kinds = [k for k in (kind if isinstance(kind, list) else [kind]) if k != 'null']
    out = []
    for k in kinds:
        if k in ('integer', 'number') and 'maximum' in node:
            out.append(f'{k}, {node["minimum"]} to {node["maximum"]}')
        elif k in ('integer', 'number'):
            out.append('count' if node.get('minimum') == 0 else k)
        elif k == 'array':
            out.append(f'list of {one_type(node["items"])}' if 'items' in node else 'list')
        elif k == 'object' and isinstance(node.get('additionalProperties'), dict):
            out.append(f'map of name to {one_type(node["additionalProperties"])}')
        else:
            out.append({'string': 'text', 'boolean': '`true`, `false`', 'object': 'map'}.get(k, k))
    return ' or '.join(out)


# --- examples ---------------------------------------------------------------------------------------


def fits(node, value, sections):
    """Could this value be meant by this schema? Enough to choose between alternatives."""
    if '$ref' in node:
        node = sections[reference(node)]
    if isinstance(value, dict):
        if 'properties' not in node:
            return node.get('type') == 'object' or 'allOf' in node
        return set(value) <= set(node['properties']) and set(node.get('required', [])) <= set(value)
    if isinstance(value, list):
        return 'array' in node.get('type', '')
    return 'properties' not in node and node.get('type') not in ('array', 'object')


def collect(node, value, sections, found):
    """Notes the first value of each (section, key)."""
    if '$ref' in node:
        name = reference(node)
        if isinstance(value, dict) and 'properties' in sections[name]:
            return collect_map(name, value, sections, found)
        return collect(sections[name], value, sections, found)
    for choice in ('anyOf', 'oneOf', 'allOf'):
        for option in node.get(choice, []):
            if fits(option, value, sections):
                collect(option, value, sections, found)
                if choice != 'allOf':
                    break
    if isinstance(value, list) and 'items' in node:
        for item in value:
            collect(node['items'], item, sections, found)
    if isinstance(value, dict) and isinstance(node.get('additionalProperties'), dict):
        for item in value.values():
            collect(node['additionalProperties'], item, sections, found)
    return None


def collect_map(section, value, sections, found):
    for key, item in value.items():
        found.setdefault((section, key), item)
        collect(sections[section]['properties'].get(key, {}), item, sections, found)


def flow(value, top=True):
    if isinstance(value, dict):
        return '{' + ', '.join(f'{k}: {flow(v, False)}' for k, v in value.items()) + '}'
    if isinstance(value, list):
        return '[' + ', '.join(flow(v, False) for v in value) + ']'
    plain = not any(c in value for c in ',{}[]"#*') and ':' not in value
    return value if plain or (top and ': ' not in value and value[:1] not in '*"') else f'"{value}"'


def examples(sections):
    found = {}
    for path in ([os.path.join(generated.ROOT, 'tests/scenarios/good/all-keys.yaml')] +
                 sorted(glob.glob(os.path.join(generated.ROOT, 'scenarios/library/*.yaml')))):
        with open(path, encoding='utf-8') as file:
            collect_map('scenario', yaml.load(file, yaml.BaseLoader), sections, found)
    return found


# --- the text ---------------------------------------------------------------------------------------


def scalar(value):
    return {True: 'true', False: 'false'}.get(value, value) if isinstance(value, bool) else value


def default_of(section, key, node):
    if key in section.get('required', []):
        return '**required**'
    if 'default' in node:
        return f'`{scalar(node["default"])}`'
    return node.get('x-default', '')


def row(name, key, section, sections, found):
    node = section['properties'][key]
    target = reference(node)
    meaning = node.get('description') or (sections[target]['description'] if target else '')
    if name == 'bounds':
        return f'| `{key}` | as what is bounded | | | {"At least" if key == "min" else "At most"}. |'
    if not meaning:
        raise SystemExit(f'schema.json does not say what {name}.{key} means')
    example = flow(found.get((name, key), ''))
    example = f'`{key}: {example}`' if 0 < len(example) <= 48 else ''
    cells = (f'`{key}`', one_type(node), default_of(section, key, node), example, meaning)
    return '| ' + ' | '.join(c.replace('|', '\\|') for c in cells) + ' |'


def alternatives(section):
    """What JSON Schema says with oneOf: exactly one of these keys."""
    out = []
    for rule in [section] + section.get('allOf', []):
        keys = [k for option in rule.get('oneOf', []) for k in option.get('required', [])]
        if keys:
            out.append('Exactly one of ' + ', '.join(f'`{k}`' for k in keys) + '.')
    return out


def tables():
    sections = load()
    found = examples(sections)
    lines = ['## Units', '', 'A number with a unit is one word: `25Gbps`, `1us`, `64KB`.', '',
             '| what | examples | meaning |', '| --- | --- | --- |']
    for unit in UNITS:
        d = sections[unit]
        shown = ', '.join(f'`{e}`' for e in d.get('examples', []))
        pattern = d.get('pattern', '')
        choices = pattern[pattern.rfind('?(') + 2:-2].replace('|', ', ') if '?(' in pattern else ''
        if unit in ('bytes', 'duration', 'rate'):
            shown += f' (units: {choices})'
        lines.append(f'| {unit.replace("_", " ")} | {shown} | {d["description"]} |')
    for part, names in PARTS:
        lines += ['', f'## {part if part == "The file" else "`" + part + "`"}']
        for name in names:
            section = sections[name]
            lines += ['', f'### {name.replace("_", "-")}', '', section['description']]
            if alternatives(section):
                lines += ['', *alternatives(section)]
            lines += ['', '| key | type | default | example | meaning |',
                      '| --- | --- | --- | --- | --- |']
            shared = sections['link_keys']['properties'] if name == 'link' else {}
            lines += [row(name, key, section, sections, found) for key in section['properties']
                      if key not in shared and (name, key) not in REFUSED]
            if shared:
                lines.append(f'| | | | | All keys of {link("link_keys")} too. |')
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(generated.main('docs/scenario-reference.md', tables(), sys.argv))
