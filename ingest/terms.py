"""Terms: what the ratios and short forms of accounting are called on the page that shows them.

Questions on company reports ask for capex or a quick ratio; the statements have neither word, but
the lines of which they are made.
"""

import re
from collections.abc import Iterable

REPORTS = frozenset({"10-K", "10-Q", "8-K", "20-F", "earnings release"})
_LINES = {
    r"capital (?:expenditures?|spending)|capex": "purchases of property, plant and equipment",
    r"cogs|cost of goods": "cost of sales, cost of revenue",
    r"quick ratio": "cash, receivables, inventories, total current assets and liabilities",
    r"current ratio|working capital|liquidity": "total current assets, total current liabilities",
    r"gross (?:profit |)margins?": "gross profit, net sales, cost of sales",
    r"operating (?:profit |)margins?|operating profit": "operating income, net sales",
    r"(?:net |)profit margins?|profitab\w+": "net income, net sales",
    r"ebitda": "operating income, depreciation and amortization",
    r"d&a": "depreciation and amortization",
    r"eps": "diluted earnings per share",
    r"top line|revenues?|turnover": "net sales, net revenue",
    r"bottom line|net profits?": "net income, net earnings",
    r"inventory turnover|dio|days? inventory": "inventories, cost of sales",
    r"dpo|days? payables?": "accounts payable, inventories, cost of sales",
    r"dso|days? sales outstanding": "accounts receivable, net sales",
    r"fixed assets?(?: turnover|)|pp&e|ppn?e": "property, plant and equipment, net",
    r"roa|return on assets|asset turnover": "net income, net sales, total assets",
    r"roe|return on equity": "net income, total shareholders' equity",
    r"payout ratio|dividends?": "dividends paid, dividends declared per share",
    r"interest coverage": "operating income, interest expense",
    r"leverage|debt to equity|indebtedness": "long-term debt, total shareholders' equity",
    r"free cash flow|fcf": "cash provided by operating activities, purchases of property",
    r"buy-?backs?|bought back|buy back": "repurchases of common stock, treasury stock",
    r"headcount|workforce|staff": "employees",
    r"r&d": "research, development and related expenses",
    r"sg&a": "selling, general and administrative expenses",
    r"effective (?:tax )?rate(?: of tax)?": "provision for income taxes, income before taxes",
    r"litigation|lawsuits?|legal (?:battles?|disputes?)": "legal proceedings, contingencies",
    r"balance sheet|financial position": "consolidated balance sheets",
    r"cash ?flow statement|statement of cash flows?": "consolidated statements of cash flows",
    r"income statement|p&l|profit and loss": "consolidated statements of income, of operations",
    r"geograph\w+|regions?": "geographic areas, net sales by region",
    r"credit (?:line|facility)|revolver": "revolving credit facility, commitments",
}
_TERMS = [
    (re.compile(rf"(?<![\w&])(?:{pattern})(?![\w&])", re.IGNORECASE), lines)
    for pattern, lines in _LINES.items()
]


def with_lines(question: str, types: Iterable[str]) -> str:
    """Add the lines that a question's terms stand for, where documents of these types have them."""
    if not REPORTS.intersection(types):
        return question
    added = [lines for pattern, lines in _TERMS if pattern.search(question)]
    return "; ".join([question, *added])
