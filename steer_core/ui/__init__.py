"""The page: pages, figures and wiring. The only folder that imports gradio or plotly."""
