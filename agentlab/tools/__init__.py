"""Tools: what the agent can do beside talking.

    book = SourceBook()
    tools = [document_tool(collection, book)]
    provider = choose_provider(settings)
    if provider:
        tools.append(web_tool(provider, collection, book))

Import each from its own module (`sources`, `documents`, `web`, `providers`): the modules that
build tools load langchain, the others do not.
"""

__all__: list[str] = []
